// The depthwise filter with lanes over outputs: every order of channels and their filters against one chain an output, to the bit.
#include "kernel_support.hpp"

using namespace test;
using sepconv::filter_outputs_args;

namespace {

struct shape {
  int64_t channels, multiplier, stride, kernel, rows, count;
};

// Outputs [row][pixel][channel][multiplier] with a gap after each row.
template <class T>
void check(const kernel_set& k, const shape& s, double lo, double hi, bool patch, flush side, generator& r) {
  const int64_t depth = s.channels * s.multiplier, block = block_channels<T>, taps = s.kernel * s.kernel;
  const int64_t pitch = ((s.count - 1) * s.stride + s.kernel) * s.channels, lines = s.rows - 1 + s.kernel, gap = 3;
  guarded x(bytes_of(lines * pitch + k.lanes - 1, sizeof(T)), side), w(bytes_of(taps * (depth + block), sizeof(T)), side);
  guarded bias(bytes_of(depth + block, sizeof(T)), side), y(bytes_of(s.rows * (s.count * depth + gap) - gap, sizeof(T)), side);
  fill_normal(x, dtype_of<T>, r);
  const auto repeat = [&](guarded& to, int64_t rows) {
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t o = 0; o < depth + block; ++o)
        to.as<T>()[i * (depth + block) + o] = o < depth ? static_cast<T>(r.normal()) : to.as<T>()[i * (depth + block) + o - depth];
    to.read_only();
  };
  repeat(w, taps);
  repeat(bias, 1);
  std::vector<std::ptrdiff_t> offsets;
  for (int64_t t = 0; t < taps; ++t) offsets.push_back(t / s.kernel * pitch + t % s.kernel * s.channels);
  std::fill(y.as<T>(), y.as<T>() + y.size() / sizeof(T), T(7));
  filter_outputs_args a = {};
  a.input = x.get();
  a.offsets = offsets.data();
  a.taps = taps;
  a.weights = w.get();
  a.weights_row = depth + block;
  a.bias = bias.get();
  a.channels = s.channels;
  a.multiplier = s.multiplier;
  a.lo = lo;
  a.hi = hi;
  a.input_pixel = s.stride * s.channels;
  a.input_row = pitch;
  a.output = y.get();
  a.output_row = s.count * depth + gap;
  a.rows = s.rows;
  a.count = s.count;
  a.patch = patch;
  k.filter_outputs(&a);
  ASSERT_TRUE(y.intact());
  for (int64_t i = 0; i < s.rows; ++i) {
    const T* row = y.as<T>() + i * a.output_row;
    for (int64_t o = 0; o < s.count * depth; ++o) {
      const T* from = x.as<T>() + i * pitch + o / depth * a.input_pixel + o % depth / s.multiplier;
      T sum = 0;
      for (int64_t t = 0; t < taps; ++t)
        sum = std::fma(from[offsets[static_cast<std::size_t>(t)]], w.as<T>()[t * a.weights_row + o % depth], sum);
      ASSERT_TRUE(same(row[o], clamped<T>(sum + bias.as<T>()[o % depth], lo, hi)))
          << "output " << o << " of row " << i << ", " << s.channels << " channels, multiplier " << s.multiplier << ", " << s.rows << " rows of "
          << s.count << ", stride " << s.stride << ", kernel " << s.kernel;
    }
    for (int64_t o = 0; o < (i + 1 < s.rows ? gap : 0); ++o) ASSERT_EQ(row[s.count * depth + o], T(7));
  }
}

// Whether what a vector of outputs reads lies within a vector.
bool fits(const kernel_set& k, const shape& s) {
  const int64_t depth = s.channels * s.multiplier;
  const auto read = [&](int64_t o) { return o / depth * s.stride * s.channels + o % depth / s.multiplier; };
  for (int64_t first = 0; first < depth * k.lanes; first += k.lanes)
    if (read(first + k.lanes - 1) - read(first) >= k.lanes) return false;
  return true;
}

}  // namespace

TEST(filter_outputs, every_order_of_channels_and_filters) {
  for_each_sum_type([](const kernel_set& k, auto type) {
    using T = decltype(type);
    if (!k.filter_outputs) return;
    generator r(31);
    static constexpr double clamps[][2] = {{-infinity, infinity}, {0, infinity}, {0, 6}, {-1, 1}};
    for (int64_t channels = 1; channels <= 19; ++channels)
      for (int64_t multiplier : {1, 2, 3, 4, 5, 6, 7, 8, 9, 16})
        for (int64_t stride : {1, 2}) {
          const int64_t kernel = r.one_in(2) ? 3 : r.between(1, 4);
          const shape s = {channels, multiplier, stride, kernel, r.between(1, 9), r.between(1, r.one_in(3) ? 90 : 12)};
          if (!fits(k, s)) continue;
          const auto& clamp = r.pick(clamps);
          check<T>(k, s, clamp[0], clamp[1], kernel == 3 && !r.one_in(4), multiplier % 2 ? flush::back : flush::front, r);
          if (testing::Test::HasFailure()) return;
        }
  });
}

TEST(filter_outputs, every_number_of_rows_and_pixels) {
  for_each_sum_type([](const kernel_set& k, auto type) {
    using T = decltype(type);
    if (!k.filter_outputs) return;
    generator r(37);
    for (int64_t rows = 1; rows <= 9; ++rows)
      for (int64_t count = 1; count <= 70; ++count) {
        check<T>(k, {3, 2, 1, 3, rows, count}, -infinity, infinity, count % 3 != 0, count % 2 ? flush::back : flush::front, r);
        if (testing::Test::HasFailure()) return;
      }
  });
}
