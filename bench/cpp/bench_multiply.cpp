// The micro-kernels: every row of the tables at its widest, 256 values of k.
#include <memory>

#include "kernels.hpp"

using namespace bench;

namespace {

constexpr int64_t depth = 256;

// Each table with the strides that its operands have; see kernels/multiply.hpp.
enum class operand { blocks, planes, panels };

template <class T>
void add_table(const std::string& name, const sepconv::multiply_fn (&table)[sepconv::max_rows + 1][sepconv::max_vectors + 1],
               int lanes, int32_t pixels_rows, operand kind, int values = 1) {
  for (int rows = 1; rows <= sepconv::max_rows; ++rows)
    for (int vectors = 1; vectors <= sepconv::max_vectors; ++vectors) {
      const sepconv::multiply_fn kernel = table[rows][vectors];
      if (!kernel) continue;
      const int64_t columns = int64_t{vectors} * lanes;
      const auto a = std::make_shared<elements<T>>(depth * (sepconv::max_rows + 2));
      const auto b = std::make_shared<elements<T>>(depth * columns), bias = std::make_shared<elements<T>>(columns + rows);
      const auto y = std::make_shared<elements<T>>(rows * columns);
      sepconv::multiply_args args = {};
      args.broadcast = a->get();
      args.lanes = b->get();
      args.bias = bias->get();
      args.passes = 1;
      if (kind == operand::blocks) {
        args.row_step = block_channels<T>;
        args.block_step = int64_t{sepconv::max_rows + 2} * block_channels<T>;
        args.blocks = depth / block_channels<T>;
        args.last_block = block_channels<T>;
      } else {
        args.block_step = kind == operand::planes ? sepconv::max_rows + 2 : depth * pixels_rows;
        args.blocks = 1;
        args.last_block = depth;
      }
      args.lane_step = columns;
      args.lo = 0;
      args.hi = infinity;
      args.output = y->get();
      args.output_row = columns;
      args.last_lanes = lanes;
      args.panels = 1;
      const std::string row = name + "/" + std::to_string(rows) + "x" + std::to_string(columns);
      add(row, 2.0 * rows * static_cast<double>(columns * depth * values), 0, [=] {
        kernel(&args);
        benchmark::DoNotOptimize(a->get()[0] + b->get()[0] + bias->get()[0] + y->get()[0]);
      });
    }
}

}  // namespace

int main(int argc, char** argv) {
  for_each_sum_type([](const kernel_set& k, auto type, const std::string& name) {
    using T = decltype(type);
    add_table<T>(name + "/filters", k.filters, k.lanes, k.pixels_rows, operand::blocks);
    add_table<T>(name + "/planar", k.planar, k.lanes, k.pixels_rows, operand::planes);
    add_table<T>(name + "/pixels", k.pixels, k.lanes, k.pixels_rows, operand::panels);
  });
  for_each_sum_type([](const kernel_set& k, auto type, const std::string& name) {
    if (sizeof(type) == 8) return;
    const std::string isa = name.substr(0, name.find('/')), row = isa + "/bfloat16";
    const sepconv::pair_set& pairs = *sepconv::find_isa(isa.c_str()).pairs;
    const int values = pairs.packed ? 2 : 1;  // of k in an element; 1 as float is the pair (0, 1)
    add_table<float>(row + "/filters", pairs.filters, k.lanes, k.pixels_rows, operand::blocks, values);
    add_table<float>(row + "/planar", pairs.planar, k.lanes, k.pixels_rows, operand::planes, values);
    add_table<float>(row + "/pixels", pairs.pixels, k.lanes, k.pixels_rows, operand::panels, values);
  });
  return run(argc, argv);
}
