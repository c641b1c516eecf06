// The depthwise filter with lanes over outputs in the order of memory, for few channels and for several filters a channel.
#include <memory>
#include <vector>

#include "kernels.hpp"

using namespace bench;

namespace {

template <class T>
void add_filter(const std::string& name, sepconv::filter_outputs_fn kernel, int64_t taps, int64_t channels, int64_t multiplier) {
  const int64_t size = 32, depth = channels * multiplier, row = depth + sepconv::block_channels<T>, pitch = (size + taps - 1) * channels;
  const auto x = std::make_shared<elements<T>>((size + taps) * pitch + 64), w = std::make_shared<elements<T>>(taps * taps * row);
  const auto bias = std::make_shared<elements<T>>(row), y = std::make_shared<elements<T>>(size * size * depth);
  const auto offsets = std::make_shared<std::vector<ptrdiff_t>>();
  for (int64_t t = 0; t < taps * taps; ++t) offsets->push_back(t / taps * pitch + t % taps * channels);
  sepconv::filter_outputs_args a = {};
  a.input = x->get();
  a.offsets = offsets->data();
  a.taps = taps * taps;
  a.weights = w->get();
  a.weights_row = row;
  a.bias = bias->get();
  a.channels = channels;
  a.multiplier = multiplier;
  a.lo = -infinity;
  a.hi = infinity;
  a.input_pixel = channels;
  a.input_row = pitch;
  a.output = y->get();
  a.output_row = size * depth;
  a.rows = a.count = size;
  a.patch = taps == 3;
  const std::string shape = std::to_string(taps) + "x" + std::to_string(taps) + "/channels:" + std::to_string(channels);
  add(name + "/" + shape + "/multiplier:" + std::to_string(multiplier), 2.0 * static_cast<double>(taps * taps * size * size * depth), 0, [=] {
    kernel(&a);
    benchmark::DoNotOptimize(x->get()[0] + w->get()[0] + bias->get()[0] + y->get()[0] + static_cast<T>(offsets->size()));
  });
}

}  // namespace

int main(int argc, char** argv) {
  for_each_sum_type([](const kernel_set& k, auto type, const std::string& name) {
    if (!k.filter_outputs) return;
    for (int64_t taps : {1, 3, 5})
      for (int64_t channels : {3, 12})
        for (int64_t multiplier : {1, 2, 8}) add_filter<decltype(type)>(name, k.filter_outputs, taps, channels, multiplier);
  });
  return run(argc, argv);
}
