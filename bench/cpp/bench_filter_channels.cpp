// The depthwise filter with lanes over channels: 14 x 14 pixels of two blocks of channels, written in blocks.
#include <memory>

#include "kernels.hpp"

using namespace bench;

namespace {

constexpr int64_t size = 14;

template <class T>
void add_filter(const std::string& name, sepconv::filter_channels_fn kernel, int64_t taps, int64_t stride, int64_t dilation) {
  constexpr int64_t block = block_channels<T>, channels = 2 * block;
  const int64_t side = (size - 1) * stride + 1, pixels = size * size;
  const auto x = std::make_shared<elements<T>>(side * side * channels), w = std::make_shared<elements<T>>(taps * taps * channels);
  const auto bias = std::make_shared<elements<T>>(channels), y = std::make_shared<elements<T>>((pixels + 1) * channels);
  sepconv::filter_channels_args a = {};
  a.input = x->get();
  a.input_row = side * channels;
  a.input_column = channels;
  a.input_height = a.input_width = side;
  a.kernel_height = a.kernel_width = taps;
  a.stride_height = a.stride_width = stride;
  a.dilation_height = a.dilation_width = dilation;
  a.pad_top = a.pad_left = (taps - 1) * dilation / 2;
  a.output_width = size;
  a.last = pixels;
  a.channels = channels;
  a.weights = w->get();
  a.bias = bias->get();
  a.lo = -infinity;
  a.hi = infinity;
  a.output = y->get();
  a.output_block = (pixels + 1) * block;
  a.output_pixel = block;
  const std::string row = name + "/" + std::to_string(taps) + "x" + std::to_string(taps) + "/stride:" + std::to_string(stride) +
                          "/dilation:" + std::to_string(dilation);
  add(row, 2.0 * static_cast<double>(taps * taps * pixels * channels), 0, [=] {
    kernel(&a);
    benchmark::DoNotOptimize(x->get()[0] + w->get()[0] + bias->get()[0] + y->get()[0]);
  });
}

}  // namespace

int main(int argc, char** argv) {
  for_each_sum_type([](const kernel_set& k, auto type, const std::string& name) {
    using T = decltype(type);
    for (int64_t taps : {1, 2, 3, 4, 5, 7, 9})
      for (int64_t stride : {1, 2}) add_filter<T>(name, k.filter_channels, taps, stride, 1);
    add_filter<T>(name, k.filter_channels, 3, 1, 2);
    add_filter<T>(name, k.filter_channels, 3, 2, 2);
  });
  return run(argc, argv);
}
