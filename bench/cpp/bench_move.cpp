// Copies that change layout: lines taken in at a step, micro-tiles stored as they are and transposed.
#include <memory>

#include "kernels.hpp"

using namespace bench;

namespace {

template <class T>
void add_lines(const std::string& name, sepconv::copy_lines_fn kernel, int64_t step) {
  constexpr int64_t rows = 8, count = 64;
  const auto x = std::make_shared<elements<T>>(rows * count * step), y = std::make_shared<elements<T>>(rows * count);
  add(name + "/copy_lines/step:" + std::to_string(step), 0, static_cast<double>(rows * count),
      [=] { kernel(x->get(), count * step, step, rows, count, y->get(), count); });
}

template <class T>
void add_tile(const std::string& name, sepconv::store_tile_fn kernel, int64_t columns, bool transposed) {
  constexpr int64_t rows = 14;
  const auto x = std::make_shared<elements<T>>(rows * columns), y = std::make_shared<elements<T>>(rows * columns);
  add(name + "/store_tile" + (transposed ? "/transposed" : ""), 0, static_cast<double>(rows * columns),
      [=] { kernel(x->get(), columns, rows, columns, y->get(), transposed ? 1 : columns, transposed ? rows : 1); });
}

}  // namespace

int main(int argc, char** argv) {
  for_each_sum_type([](const kernel_set& k, auto type, const std::string& name) {
    using T = decltype(type);
    for (int64_t step : {1, 2, 3, 16}) add_lines<T>(name, k.copy_lines, step);
    for (bool transposed : {false, true}) add_tile<T>(name, k.store_tile, 2 * k.lanes, transposed);
  });
  return run(argc, argv);
}
