// One weight as a number, whatever its storage. Not a hot path.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

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

// Element `i` of an array of `dtype`.
inline double element(const void* array, int32_t dtype, int64_t i) {
  switch (dtype) {
    case SEPCONV_FLOAT64: return static_cast<const double*>(array)[i];
    case SEPCONV_FLOAT16: return half_value(static_cast<const uint16_t*>(array)[i]);
    case SEPCONV_BFLOAT16: return bfloat_value(static_cast<const uint16_t*>(array)[i]);
    default: return static_cast<const float*>(array)[i];
  }
}

}  // namespace sepconv
