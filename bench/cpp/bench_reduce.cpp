// Sums over a chunk of pixels: outer products of a pair of blocks of channels with 96 filters, the mask of these filters, sums.
#include <memory>

#include "kernels.hpp"

using namespace bench;

int main(int argc, char** argv) {
  for_each_sum_type([](const kernel_set& k, auto type, const std::string& name) {
    using T = decltype(type);
    constexpr int64_t block = block_channels<T>, pixels = 128, rows = 2 * block, filters = 6 * block;
    const auto a = std::make_shared<elements<T>>(pixels * rows), b = std::make_shared<elements<T>>((pixels + 1) * filters);
    const auto y = std::make_shared<elements<T>>(rows * filters), sums = std::make_shared<elements<T>>(filters);
    const auto masked = std::make_shared<elements<T>>((pixels + 1) * filters);
    const sepconv::blocked_pixels of_rows = {a->get(), block, rows}, of_columns = {b->get(), (pixels + 1) * block, block};
    const sepconv::outer_args outer = {of_rows, of_columns, pixels, rows, filters, true, y->get(), filters};
    add(name + "/outer", 2.0 * static_cast<double>(pixels * rows * filters), 0, [=, kernel = k.outer] {
      kernel(&outer);
      benchmark::DoNotOptimize(a->get()[0] + b->get()[0] + y->get()[0]);
    });
    const sepconv::mask_args mask = {b->get(), b->get(), filters, pixels, filters, 0, 6, masked->get(), (pixels + 1) * block, block, sums->get()};
    add(name + "/mask", 0, static_cast<double>(pixels * filters), [=, kernel = k.mask] {
      kernel(&mask);
      benchmark::DoNotOptimize(b->get()[0] + masked->get()[0] + sums->get()[0]);
    });
    add(name + "/sum_pixels", 0, static_cast<double>(pixels * rows), [=, kernel = k.sum_pixels] {
      kernel(a->get(), rows, pixels, rows, y->get());
    });
  });
  return run(argc, argv);
}
