// The depthwise filter with lanes over pixels, for the commonest windows: rows of a padded plane.
#include <memory>

#include "kernels.hpp"

using namespace bench;

namespace {

template <class T>
void add_filter(const std::string& name, sepconv::filter_plane_fn kernel, int64_t taps, int64_t size) {
  const int64_t pitch = size + taps - 1 + 64;
  const auto x = std::make_shared<elements<T>>((size + taps) * pitch), w = std::make_shared<elements<T>>(taps * taps);
  const auto y = std::make_shared<elements<T>>(size * size);
  sepconv::filter_plane_args a = {};
  a.input = x->get();
  a.pitch = pitch;
  a.weights = w->get();
  a.lo = -infinity;
  a.hi = infinity;
  a.output = y->get();
  a.output_row = size;
  a.rows = a.count = size;
  const std::string row = name + "/" + std::to_string(taps) + "x" + std::to_string(taps) + "/size:" + std::to_string(size);
  add(row, 2.0 * static_cast<double>(taps * taps * size * size), 0, [=] {
    kernel(&a);
    benchmark::DoNotOptimize(x->get()[0] + w->get()[0] + y->get()[0]);
  });
}

}  // namespace

int main(int argc, char** argv) {
  for_each_sum_type([](const kernel_set& k, auto type, const std::string& name) {
    for (int64_t taps = 1; taps <= sepconv::max_plane; ++taps)
      for (int64_t size : {14, 32})
        if (k.filter_plane[taps]) add_filter<decltype(type)>(name, k.filter_plane[taps], taps, size);
  });
  return run(argc, argv);
}
