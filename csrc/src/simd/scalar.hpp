// The baseline of every architecture: 16-byte vectors of the compiler's own, fma lane by lane from the C library (one instruction
// where the baseline has it, exact everywhere).
#pragma once

#define SEPCONV_VECTOR_BYTES 16
#include "simd/vector.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

SEPCONV_INLINE vec<float> fma(vec<float> a, vec<float> b, vec<float> c) {
  return vec<float>{__builtin_fmaf(a[0], b[0], c[0]), __builtin_fmaf(a[1], b[1], c[1]), __builtin_fmaf(a[2], b[2], c[2]),
                    __builtin_fmaf(a[3], b[3], c[3])};
}

SEPCONV_INLINE vec<double> fma(vec<double> a, vec<double> b, vec<double> c) {
  return vec<double>{__builtin_fma(a[0], b[0], c[0]), __builtin_fma(a[1], b[1], c[1])};
}

SEPCONV_INLINE vec<float> sqrt(vec<float> x) {
  return vec<float>{__builtin_sqrtf(x[0]), __builtin_sqrtf(x[1]), __builtin_sqrtf(x[2]), __builtin_sqrtf(x[3])};
}

SEPCONV_INLINE vec<double> sqrt(vec<double> x) { return vec<double>{__builtin_sqrt(x[0]), __builtin_sqrt(x[1])}; }

}  // namespace SEPCONV_ISA
}  // namespace sepconv

#include "simd/limits.hpp"
#include "simd/partial.hpp"
#include "simd/half_soft.hpp"
#include "simd/convert.hpp"
