// The depthwise filter with lanes over pixels, for any taps: one run of outputs.
#include <memory>

#include "kernels.hpp"

using namespace bench;

namespace {

template <class T>
void add_filter(const std::string& name, sepconv::filter_line_fn kernel, int64_t taps, int64_t count) {
  constexpr int64_t pitch = 64;
  const auto offsets = std::make_shared<std::vector<std::ptrdiff_t>>();
  for (int64_t row = 0; row < taps; ++row)
    for (int64_t column = 0; column < taps; ++column) offsets->push_back(row * pitch + column);
  const auto x = std::make_shared<elements<T>>(taps * pitch + count), w = std::make_shared<elements<T>>(taps * taps);
  const auto y = std::make_shared<elements<T>>(count);
  sepconv::filter_line_args a = {};
  a.input = x->get();
  a.offsets = offsets->data();
  a.weights = w->get();
  a.taps = taps * taps;
  a.lo = -infinity;
  a.hi = infinity;
  a.output = y->get();
  a.count = count;
  const std::string row = name + "/" + std::to_string(taps) + "x" + std::to_string(taps) + "/count:" + std::to_string(count);
  add(row, 2.0 * static_cast<double>(taps * taps * count), 0, [=] {
    kernel(&a);
    benchmark::DoNotOptimize(x->get()[0] + w->get()[0] + y->get()[0] + static_cast<T>(offsets->size()));
  });
}

}  // namespace

int main(int argc, char** argv) {
  for_each_sum_type([](const kernel_set& k, auto type, const std::string& name) {
    for (int64_t taps : {1, 3, 5, 7})
      for (int64_t count : {14, 56, 512}) add_filter<decltype(type)>(name, k.filter_line, taps, count);
  });
  return run(argc, argv);
}
