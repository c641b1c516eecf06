// Seeded data with the same bits on every machine, and the storage types in plain arithmetic: nothing here comes from the library.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "sepconv/sepconv.h"

namespace test {

// Knuth's 64-bit linear congruential generator; the upper half is used.
class generator {
 public:
  explicit generator(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) { bits(); }

  uint32_t bits() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(state_ >> 32);
  }
  int64_t between(int64_t lo, int64_t hi) { return lo + static_cast<int64_t>(bits() % static_cast<uint64_t>(hi - lo + 1)); }
  bool one_in(int64_t n) { return between(1, n) == 1; }
  template <class T, std::size_t N>
  const T& pick(const T (&from)[N]) {
    return from[between(0, static_cast<int64_t>(N) - 1)];
  }
  double uniform() { return static_cast<double>(bits()) * 0x1p-32; }
  double normal() {  // near enough, and free of the C library
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += uniform();
    return sum;
  }

 private:
  uint64_t state_;
};

// Cases of a loop of `all`: SEPCONV_TEST_SAMPLE limits them where a machine is slow (sanitizers, emulators).
inline int64_t sample(int64_t all) {
  const char* limit = std::getenv("SEPCONV_TEST_SAMPLE");
  const int64_t most = limit ? std::atoll(limit) : 0;
  return most > 0 && most < all ? most : all;
}

// Whether to leave out case i of large ones: where cases are limited, every other one, and not the same ones of each shape.
inline bool left_out(int64_t i) { return std::getenv("SEPCONV_TEST_SAMPLE") && (i + i / 2 + i / 8) % 2; }

struct float_format {
  int precision, least_exponent;  // bits of the significand, exponent of the smallest normal number
  double largest;
};

inline float_format format_of(int32_t dtype) {
  switch (dtype) {
    case SEPCONV_FLOAT64: return {53, -1022, 0x1.fffffffffffffp1023};
    case SEPCONV_FLOAT16: return {11, -14, 65504};
    case SEPCONV_BFLOAT16: return {8, -126, 0x1.fep127};
    default: return {24, -126, 0x1.fffffep127};
  }
}

// Distance between neighbours of the type around x.
inline double ulp(int32_t dtype, double x) {
  const float_format f = format_of(dtype);
  const int exponent = x == 0 ? f.least_exponent : std::max(std::ilogb(x), f.least_exponent);
  return std::ldexp(1, exponent - f.precision + 1);
}

// To the nearest value of the type, ties to even, once.
inline double round_to(int32_t dtype, double x) {
  if (dtype == SEPCONV_FLOAT64 || !std::isfinite(x) || x == 0) return x;
  const double step = ulp(dtype, x);
  const double rounded = std::nearbyint(x / step) * step;  // exact: powers of two
  return std::fabs(rounded) > format_of(dtype).largest ? std::copysign(INFINITY, x) : rounded;
}

inline std::size_t size_of(int32_t dtype) { return dtype == SEPCONV_FLOAT64 ? 8 : dtype == SEPCONV_FLOAT32 ? 4 : 2; }

inline uint16_t half_bits(double x) {
  const uint16_t sign = std::signbit(x) ? 0x8000 : 0;
  x = std::fabs(x);
  if (std::isnan(x)) return 0x7e00;
  if (std::isinf(x)) return sign | 0x7c00;
  if (x < 0x1p-14) return static_cast<uint16_t>(sign | static_cast<int>(x * 0x1p24));
  const int exponent = std::ilogb(x);
  return static_cast<uint16_t>(sign | (exponent + 15) << 10 | static_cast<int>(std::ldexp(x, 10 - exponent) - 1024));
}

inline double half_number(uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double x = exponent == 31 ? (fraction ? NAN : INFINITY)
                                  : exponent ? std::ldexp(1024 + fraction, exponent - 25) : std::ldexp(fraction, -24);
  return bits & 0x8000 ? -x : x;
}

inline uint16_t bfloat_bits(double x) {
  const float narrow = static_cast<float>(x);
  uint32_t bits;
  std::memcpy(&bits, &narrow, 4);
  return static_cast<uint16_t>(bits >> 16);
}

inline double bfloat_number(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float x;
  std::memcpy(&x, &wide, 4);
  return static_cast<double>(x);
}

// Element `at` of an array of `dtype`; `x` is a value of the type.
inline void put(void* array, int32_t dtype, int64_t at, double x) {
  switch (dtype) {
    case SEPCONV_FLOAT64: static_cast<double*>(array)[at] = x; return;
    case SEPCONV_FLOAT16: static_cast<uint16_t*>(array)[at] = half_bits(x); return;
    case SEPCONV_BFLOAT16: static_cast<uint16_t*>(array)[at] = bfloat_bits(x); return;
    default: static_cast<float*>(array)[at] = static_cast<float>(x);
  }
}

inline double get(const void* array, int32_t dtype, int64_t at) {
  switch (dtype) {
    case SEPCONV_FLOAT64: return static_cast<const double*>(array)[at];
    case SEPCONV_FLOAT16: return half_number(static_cast<const uint16_t*>(array)[at]);
    case SEPCONV_BFLOAT16: return bfloat_number(static_cast<const uint16_t*>(array)[at]);
    default: return static_cast<double>(static_cast<const float*>(array)[at]);
  }
}

// Equal bits, up to the sign of zero and the payload of a NaN, which are not promised.
template <class T>
bool same(T a, T b) {
  return a == b || (a != a && b != b);
}

template <class T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!same(a[i], b[i])) return false;
  return true;
}

// FNV-1a over the eight bytes of each value, least first, with one zero and one NaN.
inline uint64_t checksum(const std::vector<double>& values, uint64_t hash = 0xcbf29ce484222325u) {
  for (double x : values) {
    uint64_t bits;
    if (x == 0) x = 0;
    std::memcpy(&bits, &x, 8);
    if (x != x) bits = 0x7ff8000000000000u;
    for (int i = 0; i < 64; i += 8) hash = (hash ^ (bits >> i & 255)) * 0x100000001b3u;
  }
  return hash;
}

}  // namespace test
