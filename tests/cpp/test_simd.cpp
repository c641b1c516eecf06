// Conversions of every 16-bit value, on every instruction set; and the vector type of the baseline by itself.
#include "kernel_support.hpp"

#if defined(__aarch64__)
#define SEPCONV_ISA neon
#else
#define SEPCONV_ISA scalar
#endif
#include "simd/simd.hpp"

using namespace test;
namespace simd = sepconv::SEPCONV_ISA;

namespace {

constexpr int64_t all = 65536;

// All values of a 16-bit type, in the order of their bits.
std::vector<uint16_t> every_value() {
  std::vector<uint16_t> out(all);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<uint16_t>(i);
  return out;
}

const int32_t narrow_types[] = {SEPCONV_FLOAT16, SEPCONV_BFLOAT16};

std::vector<uint16_t> narrowed(const kernel_set& k, const std::vector<float>& x) {
  std::vector<uint16_t> out(x.size());
  const int64_t count = static_cast<int64_t>(x.size());
  k.store_tile(x.data(), count, 1, count, out.data(), count, 1);
  return out;
}

bool is_nan(int32_t dtype, uint16_t bits) { return std::isnan(dtype == SEPCONV_FLOAT16 ? half_number(bits) : bfloat_number(bits)); }

// Floats at and around every place where rounding to the type may go either way.
std::vector<float> around_every_tie(int32_t dtype) {
  std::vector<float> out;
  const std::vector<uint16_t> values = every_value();
  for (int64_t i = 0; i < all; ++i) {
    const float x = static_cast<float>(get(values.data(), dtype, i));
    if (!std::isfinite(x)) continue;
    const double half_step = ulp(dtype, static_cast<double>(x)) / 2;
    const float tie = static_cast<float>(static_cast<double>(x) + std::copysign(half_step, static_cast<double>(x)));
    for (float at : {x, tie})
      for (float y : {at, std::nextafterf(at, -INFINITY), std::nextafterf(at, INFINITY)}) out.push_back(y);
  }
  return out;
}

}  // namespace

TEST(simd, widens_every_16_bit_value) {
  const std::vector<uint16_t> values = every_value();
  for (const std::string& isa : isas())
    for (int32_t dtype : narrow_types) {
      std::vector<float> wide(all);
      sepconv::find_isa(isa.c_str()).sets[dtype]->copy_lines(values.data(), 0, 1, 1, all, wide.data(), 0);
      for (int64_t i = 0; i < all; ++i) {
        const double wanted = get(values.data(), dtype, i);
        ASSERT_TRUE(same(static_cast<double>(wide[static_cast<std::size_t>(i)]), wanted)) << isa << ' ' << dtype << ' ' << i;
        ASSERT_EQ(std::signbit(wide[static_cast<std::size_t>(i)]), (i & 0x8000) != 0) << isa << ' ' << dtype << ' ' << i;
      }
    }
}

TEST(simd, narrowing_gives_every_16_bit_value_back) {
  const std::vector<uint16_t> values = every_value();
  for (const std::string& isa : isas())
    for (int32_t dtype : narrow_types) {
      const kernel_set& k = *sepconv::find_isa(isa.c_str()).sets[dtype];
      std::vector<float> wide(all);
      k.copy_lines(values.data(), 0, 1, 1, all, wide.data(), 0);
      const std::vector<uint16_t> back = narrowed(k, wide);
      for (std::size_t i = 0; i < back.size(); ++i)
        ASSERT_TRUE(is_nan(dtype, values[i]) ? is_nan(dtype, back[i]) : back[i] == values[i]) << isa << ' ' << dtype << ' ' << i;
    }
}

TEST(simd, narrowing_rounds_to_nearest_even) {
  for (int32_t dtype : narrow_types) {
    const std::vector<float> x = around_every_tie(dtype);
    ASSERT_GT(x.size(), 300000u);
    std::vector<double> wanted;
    for (float value : x) wanted.push_back(round_to(dtype, static_cast<double>(value)));
    for (const std::string& isa : isas()) {
      const std::vector<uint16_t> got = narrowed(*sepconv::find_isa(isa.c_str()).sets[dtype], x);
      for (std::size_t i = 0; i < x.size(); ++i)
        ASSERT_EQ(get(got.data(), dtype, static_cast<int64_t>(i)), wanted[i]) << isa << ' ' << dtype << ' ' << x[i];
    }
  }
}

TEST(simd, narrowing_of_what_is_not_finite_or_too_large) {
  std::vector<float> x = {INFINITY, -INFINITY, 65504.0f, 65519.996f, 65520.0f, -65520.0f, 1e30f, -1e30f, 3.4028235e38f, 3.39e38f, 1e-30f};
  for (uint32_t payload : {0x7f800001u, 0x7fc00000u, 0x7fffffffu, 0xff800001u, 0xffffffffu, 0x7f80ffffu}) {
    float nan;
    std::memcpy(&nan, &payload, 4);
    x.push_back(nan);
  }
  for (const std::string& isa : isas())
    for (int32_t dtype : narrow_types) {
      const std::vector<uint16_t> got = narrowed(*sepconv::find_isa(isa.c_str()).sets[dtype], x);
      for (std::size_t i = 0; i < x.size(); ++i)
        EXPECT_TRUE(same(get(got.data(), dtype, static_cast<int64_t>(i)), round_to(dtype, static_cast<double>(x[i]))))
            << isa << ' ' << dtype << ' ' << x[i];
    }
}

// The baseline's own operations, one lane at a time.
template <class T>
class vectors : public testing::Test {};
using sums = testing::Types<float, double>;
TYPED_TEST_SUITE(vectors, sums);

TYPED_TEST(vectors, arithmetic_is_that_of_each_lane) {
  using T = TypeParam;
  constexpr int lanes = simd::lanes<T>;
  generator r(41);
  for (int round = 0; round < 1000; ++round) {
    T a[lanes], b[lanes], c[lanes];
    for (int i = 0; i < lanes; ++i) {
      a[i] = static_cast<T>(r.normal());
      b[i] = static_cast<T>(r.normal());
      c[i] = static_cast<T>(r.normal());
    }
    const simd::vec<T> x = simd::load(a), y = simd::load(b), z = simd::load(c);
    for (int i = 0; i < lanes; ++i) {
      ASSERT_EQ(simd::fma(x, y, z)[i], std::fma(a[i], b[i], c[i]));
      ASSERT_EQ(simd::at_least(x, y)[i], b[i] > a[i] ? b[i] : a[i]);
      ASSERT_EQ(simd::at_most(x, y)[i], b[i] < a[i] ? b[i] : a[i]);
      ASSERT_EQ(simd::select<T>(x < y, x, z)[i], a[i] < b[i] ? a[i] : c[i]);
      ASSERT_EQ(simd::sqrt(simd::at_least(x, simd::vec<T>{}))[i], std::sqrt(a[i] < 0 ? T(0) : a[i]));
      ASSERT_EQ(simd::to_float<T>(simd::to_int<T>(x * T(100)))[i], std::trunc(a[i] * T(100)));
      ASSERT_EQ(simd::from_bits<T>(simd::bits<T>(x))[i], a[i]);
    }
  }
}

TYPED_TEST(vectors, clamp_and_broadcast_keep_nan_and_minus_zero) {
  using T = TypeParam;
  for (int i = 0; i < simd::lanes<T>; ++i) {
    const simd::vec<T> zero = simd::broadcast(T(-0.0)), lo = simd::broadcast(T(0)), hi = simd::broadcast(T(6));
    EXPECT_TRUE(std::signbit(zero[i]));
    EXPECT_TRUE(std::signbit(simd::clamp<T>(zero, lo, hi)[i]));
    EXPECT_TRUE(std::isnan(simd::clamp<T>(simd::broadcast(T(NAN)), lo, hi)[i]));
    EXPECT_EQ(simd::clamp<T>(simd::broadcast(T(9)), lo, hi)[i], 6);
  }
}

TYPED_TEST(vectors, partial_loads_and_stores_touch_the_first_lanes_only) {
  using T = TypeParam;
  constexpr int lanes = simd::lanes<T>;
  for (int n = 0; n <= lanes; ++n)
    for (flush side : {flush::front, flush::back}) {
      guarded x(static_cast<std::size_t>(n) * sizeof(T), side), y(static_cast<std::size_t>(n) * sizeof(T), side);
      for (int i = 0; i < n; ++i) x.as<T>()[i] = static_cast<T>(i + 1);
      const simd::vec<T> v = simd::load_partial(x.as<T>(), n);
      for (int i = 0; i < lanes; ++i) EXPECT_EQ(v[i], i < n ? T(i + 1) : T(0));
      simd::store_partial(y.as<T>(), v, n);
      EXPECT_TRUE(y.intact());
      for (int i = 0; i < n; ++i) EXPECT_EQ(y.as<T>()[i], T(i + 1));
    }
}
