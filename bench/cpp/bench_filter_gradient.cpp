// The gradient of a depthwise kernel over a chunk of an image in L1.
#include <memory>

#include "kernels.hpp"

using namespace bench;

int main(int argc, char** argv) {
  for_each_sum_type([](const kernel_set& k, auto type, const std::string& name) {
    using T = decltype(type);
    constexpr int64_t channels = 2 * block_channels<T>, width = 28, rows = 4;
    for (const int64_t kernel : {1, 3, 5, 7})
      for (const int64_t stride : {1, 2}) {
        const auto x = std::make_shared<elements<T>>((rows * stride + kernel) * (width * stride + kernel) * channels);
        const auto d = std::make_shared<elements<T>>(rows * width * channels);
        const auto sums = std::make_shared<elements<T>>(kernel * kernel * channels);
        sepconv::filter_gradient_args a = {};
        a.input = x->get();
        a.input_column = channels;
        a.input_height = rows * stride;
        a.input_width = width * stride;
        a.input_row = a.input_width * channels;
        a.kernel_height = a.kernel_width = kernel;
        a.stride_height = a.stride_width = stride;
        a.dilation_height = a.dilation_width = 1;
        a.pad_top = a.pad_left = kernel / 2;
        a.output_width = width;
        a.last = rows * width;
        a.channels = channels;
        a.gradient = d->get();
        a.gradient_pixel = channels;
        a.sums = sums->get();
        const double flops = 2.0 * static_cast<double>(rows * width * channels * kernel * kernel);
        add(name + "/k" + std::to_string(kernel) + "/s" + std::to_string(stride), flops, 0, [=, filter = k.filter_gradient] {
          filter(&a);
          benchmark::DoNotOptimize(x->get()[0] + d->get()[0] + sums->get()[0]);
        });
      }
  });
  return run(argc, argv);
}
