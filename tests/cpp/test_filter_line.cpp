// The depthwise filter with lanes over pixels: every length against one chain an output, to the bit.
#include "kernel_support.hpp"

using namespace test;
using sepconv::filter_line_args;

namespace {

template <class T>
void check(const kernel_set& k, int64_t count, int64_t taps, double lo, double hi, flush side, generator& r) {
  std::vector<std::ptrdiff_t> offsets(static_cast<std::size_t>(taps));
  int64_t lowest = INT64_MAX, highest = 0;
  for (std::ptrdiff_t& offset : offsets) {
    offset = r.between(0, 40);
    lowest = std::min<int64_t>(lowest, offset);
    highest = std::max<int64_t>(highest, offset);
  }
  for (std::ptrdiff_t& offset : offsets) offset -= lowest;
  guarded x(bytes_of(highest - lowest + count, sizeof(T)), side), w(bytes_of(taps, sizeof(T)), side), y(bytes_of(count, sizeof(T)), side);
  fill_normal(x, dtype_of<T>, r);
  fill_normal(w, dtype_of<T>, r);
  const T bias = static_cast<T>(r.normal());
  filter_line_args a = {};
  a.input = x.get();
  a.offsets = offsets.data();
  a.weights = w.get();
  a.taps = taps;
  a.bias = static_cast<double>(bias);
  a.lo = lo;
  a.hi = hi;
  a.output = y.get();
  a.count = count;
  k.filter_line(&a);
  ASSERT_TRUE(y.intact());
  for (int64_t i = 0; i < count; ++i) {
    T sum = 0;
    for (int64_t t = 0; t < taps; ++t) sum = std::fma(x.as<T>()[i + offsets[static_cast<std::size_t>(t)]], w.as<T>()[t], sum);
    ASSERT_TRUE(same(y.as<T>()[i], clamped<T>(sum + bias, lo, hi))) << i << " of " << count << ", " << taps << " taps";
  }
}

}  // namespace

TEST(filter_line, every_length) {
  for_each_sum_type([](const kernel_set& k, auto type) {
    using T = decltype(type);
    generator r(29);
    static constexpr double clamps[][2] = {{-infinity, infinity}, {0, infinity}, {0, 6}, {-1, 1}};
    for (int64_t count = 1; count <= 17 * k.lanes + 1; ++count)
      for (int64_t taps : {1, 2, 9, 25}) {
        const auto& clamp = r.pick(clamps);
        check<T>(k, count, taps, clamp[0], clamp[1], (count + taps) % 2 ? flush::back : flush::front, r);
        if (testing::Test::HasFailure()) return;
      }
  });
}

TEST(filter_line, nothing_for_no_pixels) {
  for_each_sum_type([](const kernel_set& k, auto) {
    filter_line_args a = {};
    a.taps = 9;
    k.filter_line(&a);
  });
}

// The clamp lets NaN and -0 pass.
TEST(filter_line, clamp_passes_nan_and_minus_zero) {
  for_each_sum_type([](const kernel_set& k, auto type) {
    using T = decltype(type);
    for (int64_t count = 1; count <= 2 * k.lanes + 1; ++count) {
      std::vector<T> x(static_cast<std::size_t>(count), static_cast<T>(NAN)), y(x.size());
      const std::ptrdiff_t offset = 0;
      const T weight = 1;
      filter_line_args a = {};
      a.input = x.data();
      a.offsets = &offset;
      a.weights = &weight;
      a.taps = 1;
      a.lo = 0;
      a.hi = 6;
      a.output = y.data();
      a.count = count;
      k.filter_line(&a);
      for (T value : y) EXPECT_TRUE(std::isnan(value));
    }
  });
}
