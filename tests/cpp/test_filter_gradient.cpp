// The gradient of a depthwise kernel: every edge, stride, dilation and run of pixels against one chain a tap, to the bit.
#include "kernel_support.hpp"

using namespace test;

namespace {

template <class T>
void check(const kernel_set& k, generator& r, flush side) {
  constexpr int64_t block = block_channels<T>;
  sepconv::filter_gradient_args a = {};
  a.channels = r.between(1, 2) * block;
  a.input_height = r.between(1, 6);
  a.input_width = r.between(1, 12);
  a.kernel_height = r.between(1, 4);
  a.kernel_width = r.between(1, 9);
  a.stride_height = r.between(1, 3);
  a.stride_width = r.between(1, 3);
  a.dilation_height = r.between(1, 3);
  a.dilation_width = r.between(1, 3);
  a.pad_top = r.between(0, 4);
  a.pad_left = r.between(0, 9);
  a.output_width = r.between(1, 12);
  const int64_t pixels = a.output_width * r.between(1, 5);
  a.first = r.one_in(2) ? 0 : r.between(0, pixels - 1);
  a.last = r.between(a.first, pixels);
  a.input_column = a.channels + r.between(0, 2);
  a.input_row = a.input_width * a.input_column + r.between(0, 3);
  a.gradient_pixel = a.channels + r.between(0, 3);
  guarded x(bytes_of((a.input_height - 1) * a.input_row + (a.input_width - 1) * a.input_column + a.channels, sizeof(T)), side);
  const int64_t count = a.last - a.first, taps = a.kernel_height * a.kernel_width;
  guarded d(bytes_of(count ? (count - 1) * a.gradient_pixel + a.channels : 0, sizeof(T)), side);
  guarded sums(bytes_of(taps * a.channels, sizeof(T)), side);
  fill_normal(x, dtype_of<T>, r);
  fill_normal(d, dtype_of<T>, r);
  for (int64_t i = 0; i < taps * a.channels; ++i) sums.as<T>()[i] = static_cast<T>(i % 5);
  a.input = x.get();
  a.gradient = d.get();
  a.sums = sums.get();
  k.filter_gradient(&a);
  ASSERT_TRUE(sums.intact());
  for (int64_t c = 0; c < a.channels; ++c)
    for (int64_t t = 0; t < taps; ++t) {
      const int64_t at = (c / block * taps + t) * block + c % block;
      T sum = 0;
      for (int64_t q = a.first; q < a.last; ++q) {
        const int64_t h = q / a.output_width * a.stride_height + t / a.kernel_width * a.dilation_height - a.pad_top;
        const int64_t w = q % a.output_width * a.stride_width + t % a.kernel_width * a.dilation_width - a.pad_left;
        if (h < 0 || h >= a.input_height || w < 0 || w >= a.input_width) continue;
        sum = std::fma(x.as<T>()[h * a.input_row + w * a.input_column + c], d.as<T>()[(q - a.first) * a.gradient_pixel + c], sum);
      }
      ASSERT_TRUE(same(sums.as<T>()[at], sum)) << "tap " << t << " of " << a.kernel_height << 'x' << a.kernel_width << " channel " << c;
    }
}

}  // namespace

TEST(filter_gradient, is_one_chain_a_tap) {
  for_each_sum_type([](const kernel_set& k, auto zero) {
    generator r(9);
    for (int64_t i = 0; i < sample(1500) && !HasFailure(); ++i) check<decltype(zero)>(k, r, i % 2 ? flush::front : flush::back);
  });
}
