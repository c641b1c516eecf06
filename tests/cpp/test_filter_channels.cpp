// The depthwise filter with lanes over channels: every tail, edge, stride and dilation against one chain an output, to the bit.
#include "kernel_support.hpp"

using namespace test;
using sepconv::filter_channels_args;

namespace {

struct problem {
  int64_t height, width, channels;
  int64_t kernel[2], stride[2], dilation[2], pad[2], output[2];
  bool blocked;  // rows in blocks of scratch, or pixels of an image
  double lo, hi;
  flush side;
};

std::string describe(const problem& p) {
  std::ostringstream out;
  out << p.height << 'x' << p.width << 'x' << p.channels << " kernel " << p.kernel[0] << 'x' << p.kernel[1] << " stride "
      << p.stride[0] << ',' << p.stride[1] << " dilation " << p.dilation[0] << ',' << p.dilation[1] << " pad " << p.pad[0] << ','
      << p.pad[1] << " output " << p.output[0] << 'x' << p.output[1] << (p.blocked ? " blocked" : " direct");
  return out.str();
}

template <class T>
void check(const kernel_set& k, const problem& p, generator& r) {
  constexpr int64_t block = block_channels<T>;
  const int64_t blocks = (p.channels + block - 1) / block, taps = p.kernel[0] * p.kernel[1];
  const int64_t pixels = p.output[0] * p.output[1];
  const int64_t first = r.one_in(2) ? 0 : r.between(0, pixels - 1), last = r.one_in(2) ? pixels : r.between(first + 1, pixels);
  const int64_t column = p.channels + (p.blocked ? 2 : 0), row = p.width * column + (p.blocked ? 1 : 0);
  guarded x(bytes_of((p.height - 1) * row + (p.width - 1) * column + p.channels, sizeof(T)), p.side);
  guarded w(bytes_of(blocks * taps * block, sizeof(T)), p.side), bias(bytes_of(blocks * block, sizeof(T)), p.side);
  const int64_t count = last - first, output_block = p.blocked ? (count + 1) * block : block, output_pixel = p.blocked ? block : p.channels;
  const int64_t held = p.channels - (blocks - 1) * block;
  guarded y(bytes_of((blocks - 1) * output_block + (count - 1) * output_pixel + held, sizeof(T)), p.side);
  fill_normal(x, dtype_of<T>, r);
  fill_normal(w, dtype_of<T>, r);
  fill_normal(bias, dtype_of<T>, r);

  filter_channels_args a = {};
  a.input = x.get();
  a.input_row = row;
  a.input_column = column;
  a.input_height = p.height;
  a.input_width = p.width;
  a.kernel_height = p.kernel[0];
  a.kernel_width = p.kernel[1];
  a.stride_height = p.stride[0];
  a.stride_width = p.stride[1];
  a.dilation_height = p.dilation[0];
  a.dilation_width = p.dilation[1];
  a.pad_top = p.pad[0];
  a.pad_left = p.pad[1];
  a.output_width = p.output[1];
  a.first = first;
  a.last = last;
  a.channels = p.channels;
  a.weights = w.get();
  a.bias = bias.get();
  a.lo = p.lo;
  a.hi = p.hi;
  a.output = y.get();
  a.output_block = output_block;
  a.output_pixel = output_pixel;
  if (!r.one_in(4)) a.end = x.as<T>() + (p.height - 1) * row + (p.width - 1) * column + p.channels;
  k.filter_channels(&a);

  ASSERT_TRUE(y.intact()) << describe(p);
  for (int64_t q = first; q < last; ++q)
    for (int64_t c = 0; c < p.channels; ++c) {
      T sum = 0;
      for (int64_t t = 0; t < taps; ++t) {
        const int64_t h = q / p.output[1] * p.stride[0] + t / p.kernel[1] * p.dilation[0] - p.pad[0];
        const int64_t v = q % p.output[1] * p.stride[1] + t % p.kernel[1] * p.dilation[1] - p.pad[1];
        if (h < 0 || h >= p.height || v < 0 || v >= p.width) continue;
        sum = std::fma(x.as<T>()[h * row + v * column + c],
                       w.as<T>()[(c / block * taps + t) * block + c % block], sum);
      }
      const T wanted = clamped<T>(sum + bias.as<T>()[c], p.lo, p.hi);
      const T got = y.as<T>()[c / block * output_block + (q - first) * output_pixel + c % block];
      ASSERT_TRUE(same(got, wanted)) << "pixel " << q << ", channel " << c << ": " << got << " instead of " << wanted << "\n"
                                     << describe(p) << ", pixels " << first << " to " << last;
    }
}

problem draw(int64_t i, int64_t block, generator& r) {
  static constexpr int64_t kernels[][2] = {{3, 3}, {5, 5}, {3, 3}, {1, 3}, {2, 4}, {3, 1}, {7, 7}, {1, 1}, {5, 3}, {2, 5}};
  static constexpr double clamps[][2] = {{-infinity, infinity}, {0, infinity}, {0, 6}, {-1, 1}};
  problem p = {};
  p.height = r.between(1, 4);
  p.width = r.one_in(5) ? r.between(10, 24) : 1 + i % 9;
  p.channels = 1 + i % (4 * block + 1);
  const auto& kernel = r.pick(kernels);
  const auto& clamp = r.pick(clamps);
  for (int a = 0; a < 2; ++a) {
    p.kernel[a] = kernel[a];
    p.stride[a] = r.one_in(2) ? 1 : r.between(1, 3);
    p.dilation[a] = r.one_in(2) ? 1 : r.between(1, 3);
    p.pad[a] = r.between(0, (p.kernel[a] - 1) * p.dilation[a] + 1);
    // Whatever lies behind the image is padding, too; sometimes whole outputs see nothing else.
    p.output[a] = r.between(1, ((a ? p.width : p.height) + p.pad[a]) / p.stride[a] + 2);
  }
  p.blocked = r.one_in(2);
  p.lo = clamp[0];
  p.hi = clamp[1];
  p.side = i % 2 ? flush::back : flush::front;
  return p;
}

}  // namespace

TEST(filter_channels, every_tail_and_edge) {
  for_each_sum_type([](const kernel_set& k, auto type) {
    using T = decltype(type);
    generator r(23);
    const int64_t cases = sample(1500);
    for (int64_t i = 0; i < cases && !testing::Test::HasFailure(); ++i)
      check<T>(k, draw(i, block_channels<T>, r), r);
  });
}

// The commonest filters have bodies of their own: all widths, tails and edges of exactly these.
TEST(filter_channels, common_filters_at_every_width) {
  for_each_sum_type([](const kernel_set& k, auto type) {
    using T = decltype(type);
    generator r(24);
    const int64_t step = std::max<int64_t>(1, 2280 / sample(2280));
    int64_t i = 0;
    for (int64_t kernel : {3, 5, 7, 9, 11})
      for (int64_t stride : {1, 2})
        for (int64_t width = 1; width <= 19; ++width)
          for (int64_t channels : {1, 3, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33}) {
            if (i++ % step) continue;
            problem p = {2, width, channels, {kernel, kernel}, {stride, stride}, {1, 1}, {kernel / 2, kernel / 2}, {}, i % 2 == 0,
                         -infinity, infinity, i % 3 ? flush::back : flush::front};
            p.output[0] = (1 + stride) / stride;
            p.output[1] = (width - 1) / stride + 1;
            check<T>(k, p, r);
            if (testing::Test::HasFailure()) return;
          }
  });
}
