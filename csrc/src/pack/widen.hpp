// Weights as numbers, whatever their storage.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/kernel_types.hpp"
#include "sepconv/sepconv.h"

namespace sepconv {

inline double half_value(uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const double fraction = bits & 1023;
  double value = exponent == 31 ? (fraction != 0 ? NAN : INFINITY)
                                : exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return bits & 0x8000 ? -value : value;
}

inline double bfloat_value(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, 4);
  return value;
}

inline double number(float value) { return value; }
inline double number(double value) { return value; }
inline double number(half value) { return half_value(value.bits); }
inline double number(bfloat value) { return bfloat_value(value.bits); }

// f(array), the array with its type.
template <class F>
void with_type(const void* array, int32_t dtype, F&& f) {
  switch (dtype) {
    case SEPCONV_FLOAT64: return f(static_cast<const double*>(array));
    case SEPCONV_FLOAT16: return f(static_cast<const half*>(array));
    case SEPCONV_BFLOAT16: return f(static_cast<const bfloat*>(array));
    default: return f(static_cast<const float*>(array));
  }
}

// Element `i` of an array of `dtype`.
inline double element(const void* array, int32_t dtype, int64_t i) {
  double value = 0;
  with_type(array, dtype, [&](const auto* x) { value = number(x[i]); });
  return value;
}

}  // namespace sepconv
