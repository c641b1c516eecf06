// SEPCONV_PRECISION_BFLOAT16 in plain arithmetic: what a pair of products adds to a sum.
#pragma once

#include "kernel_support.hpp"

namespace test {

using sepconv::bfloat_pair;

inline constexpr float least_normal = 0x1p-126f;

inline float flushed(float x) { return std::fabs(x) < least_normal ? std::copysign(0.0f, x) : x; }

// One rounding to 24 bits whatever the exponent, then denormals are zero. What lies near the least normal number is rounded 24 bits higher
// up, where float has room below.
inline float flushed_fma(float a, float b, float s) {
  a = flushed(a);
  b = flushed(b);
  const float sum = std::fma(a, b, s);
  if (sum == 0 || !(std::fabs(sum) <= least_normal)) return sum;
  return std::fabs(std::fma(a * 0x1p24f, b, s * 0x1p24f)) < least_normal * 0x1p24f ? std::copysign(0.0f, sum) : sum;
}

inline float add_pair(bfloat_pair a, bfloat_pair b, float s) {
  const auto value = [](sepconv::bfloat x) { return static_cast<float>(bfloat_number(x.bits)); };
  return flushed_fma(value(a.even), value(b.even), flushed_fma(value(a.odd), value(b.odd), s));
}

inline bfloat_pair pair_of(double even, double odd) {
  return {{bfloat_bits(round_to(SEPCONV_BFLOAT16, even))}, {bfloat_bits(round_to(SEPCONV_BFLOAT16, odd))}};
}

// Usual numbers, or those whose products are denormal or nearly so; among these some that are denormal, infinite or none themselves.
inline uint16_t draw_bfloat(generator& r, bool tiny) {
  if (!tiny) return bfloat_bits(round_to(SEPCONV_BFLOAT16, r.normal()));
  const uint32_t sign = r.one_in(2) ? 0x8000 : 0, fraction = r.one_in(2) ? 0 : static_cast<uint32_t>(r.between(0, 127));
  if (r.one_in(400)) return static_cast<uint16_t>(sign | 0x7f80 | fraction);
  if (r.one_in(10)) return static_cast<uint16_t>(sign | fraction);
  const int64_t exponent = r.one_in(8) ? r.between(1, 130) : r.between(61, 65);
  return static_cast<uint16_t>(sign | exponent << 7 | fraction);
}

}  // namespace test
