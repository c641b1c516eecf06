// AArch64 Advanced SIMD.
#pragma once

#include <arm_neon.h>

#define SEPCONV_VECTOR_BYTES 16
#include "simd/vector.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

SEPCONV_INLINE vec<float> fma(vec<float> a, vec<float> b, vec<float> c) {
  return reinterpret_cast<vec<float>>(
      vfmaq_f32(reinterpret_cast<float32x4_t>(c), reinterpret_cast<float32x4_t>(a), reinterpret_cast<float32x4_t>(b)));
}

SEPCONV_INLINE vec<double> fma(vec<double> a, vec<double> b, vec<double> c) {
  return reinterpret_cast<vec<double>>(
      vfmaq_f64(reinterpret_cast<float64x2_t>(c), reinterpret_cast<float64x2_t>(a), reinterpret_cast<float64x2_t>(b)));
}

SEPCONV_INLINE vec<float> sqrt(vec<float> x) { return reinterpret_cast<vec<float>>(vsqrtq_f32(reinterpret_cast<float32x4_t>(x))); }

SEPCONV_INLINE vec<double> sqrt(vec<double> x) {
  return reinterpret_cast<vec<double>>(vsqrtq_f64(reinterpret_cast<float64x2_t>(x)));
}

SEPCONV_INLINE vec<float> widen_half(const half* p) {
  return reinterpret_cast<vec<float>>(vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(&p->bits))));
}

SEPCONV_INLINE void narrow_half(half* p, vec<float> x) {
  vst1_u16(&p->bits, vreinterpret_u16_f16(vcvt_f16_f32(reinterpret_cast<float32x4_t>(x))));
}

}  // namespace SEPCONV_ISA
}  // namespace sepconv

#include "simd/limits.hpp"
#include "simd/partial.hpp"
#include "simd/convert.hpp"
