// The depthwise filter with lanes over pixels that takes many rows at once: every size against one chain an output, to the bit.
#include "kernel_support.hpp"

using namespace test;
using sepconv::filter_plane_args;

namespace {

template <class T>
void check(const kernel_set& k, int64_t taps, int64_t rows, int64_t count, double lo, double hi, flush side, generator& r) {
  // A plane has a vector beyond the last value that counts.
  const int64_t pitch = count + taps - 1 + r.between(0, 3), output_row = count + r.between(0, 3);
  guarded x(bytes_of((rows + taps - 2) * pitch + count + taps - 1 + k.lanes, sizeof(T)), side);
  guarded w(bytes_of(taps * taps, sizeof(T)), side), y(bytes_of((rows - 1) * output_row + count, sizeof(T)), side);
  fill_normal(x, dtype_of<T>, r);
  fill_normal(w, dtype_of<T>, r);
  const T bias = static_cast<T>(r.normal());
  const filter_plane_args a = {x.get(), pitch, w.get(), static_cast<double>(bias), lo, hi, y.get(), output_row, rows, count};
  k.filter_plane[taps](&a);
  ASSERT_TRUE(y.intact());
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < count; ++column) {
      T sum = 0;
      for (int64_t i = 0; i < taps; ++i)
        for (int64_t j = 0; j < taps; ++j)
          sum = std::fma(x.as<T>()[(row + i) * pitch + column + j], w.as<T>()[i * taps + j], sum);
      ASSERT_TRUE(same(y.as<T>()[row * output_row + column], clamped<T>(sum + bias, lo, hi)))
          << "row " << row << " of " << rows << ", column " << column << " of " << count << ", " << taps << " taps";
    }
  for (int64_t row = 0; row + 1 < rows; ++row)  // between rows
    for (int64_t i = 0; i < (output_row - count) * static_cast<int64_t>(sizeof(T)); ++i)
      ASSERT_EQ(reinterpret_cast<unsigned char*>(y.as<T>() + row * output_row + count)[i], guarded::pattern);
}

}  // namespace

TEST(filter_plane, every_size) {
  int64_t kernels = 0;  // the baseline has none
  for_each_sum_type([&](const kernel_set& k, auto type) {
    using T = decltype(type);
    generator r(43);
    static constexpr double clamps[][2] = {{-infinity, infinity}, {0, infinity}, {0, 6}, {-1, 1}};
    for (int64_t taps = 1; taps <= sepconv::max_plane; ++taps) {
      if (!k.filter_plane[taps]) continue;
      ++kernels;
      for (int64_t rows = 1; rows <= 9; ++rows)
        for (int64_t count = 1; count <= 3 * k.lanes + 1; ++count) {
          const auto& clamp = r.pick(clamps);
          check<T>(k, taps, rows, count, clamp[0], clamp[1], count % 2 ? flush::back : flush::front, r);
          if (testing::Test::HasFailure()) return;
        }
    }
  });
  EXPECT_EQ(kernels, 2 * 2 * (static_cast<int64_t>(isas().size()) - 1));  // 3x3 and 5x5, float and double
}
