// x86-64 with AVX-512 F, BW, DQ and VL: 64-byte vectors, 32 registers, masks.
#pragma once

#include <immintrin.h>

#define SEPCONV_VECTOR_BYTES 64
#include "simd/vector.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

SEPCONV_INLINE vec<float> fma(vec<float> a, vec<float> b, vec<float> c) {
  return reinterpret_cast<vec<float>>(
      _mm512_fmadd_ps(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b), reinterpret_cast<__m512>(c)));
}

SEPCONV_INLINE vec<double> fma(vec<double> a, vec<double> b, vec<double> c) {
  return reinterpret_cast<vec<double>>(
      _mm512_fmadd_pd(reinterpret_cast<__m512d>(a), reinterpret_cast<__m512d>(b), reinterpret_cast<__m512d>(c)));
}

// The zero-masked forms with a full mask: GCC 12 warns of an undefined pass-through operand in the plain ones.
SEPCONV_INLINE vec<float> sqrt(vec<float> x) {
  return reinterpret_cast<vec<float>>(_mm512_maskz_sqrt_ps(0xffff, reinterpret_cast<__m512>(x)));
}

SEPCONV_INLINE vec<double> sqrt(vec<double> x) {
  return reinterpret_cast<vec<double>>(_mm512_maskz_sqrt_pd(0xff, reinterpret_cast<__m512d>(x)));
}

// limit > x ? limit : x and limit < x ? limit : x; see avx2.hpp.
SEPCONV_INLINE vec<float> at_least(vec<float> x, vec<float> limit) {
  return reinterpret_cast<vec<float>>(
      _mm512_maskz_max_ps(0xffff, reinterpret_cast<__m512>(limit), reinterpret_cast<__m512>(x)));
}

SEPCONV_INLINE vec<double> at_least(vec<double> x, vec<double> limit) {
  return reinterpret_cast<vec<double>>(
      _mm512_maskz_max_pd(0xff, reinterpret_cast<__m512d>(limit), reinterpret_cast<__m512d>(x)));
}

SEPCONV_INLINE vec<float> at_most(vec<float> x, vec<float> limit) {
  return reinterpret_cast<vec<float>>(
      _mm512_maskz_min_ps(0xffff, reinterpret_cast<__m512>(limit), reinterpret_cast<__m512>(x)));
}

SEPCONV_INLINE vec<double> at_most(vec<double> x, vec<double> limit) {
  return reinterpret_cast<vec<double>>(
      _mm512_maskz_min_pd(0xff, reinterpret_cast<__m512d>(limit), reinterpret_cast<__m512d>(x)));
}

// Lane k of the result is lane order[k].
template <class T>
using lane_order = __m512i;

template <class T>
SEPCONV_INLINE __m512i order_of(const typename traits<T>::integer* order) {
  return _mm512_loadu_si512(order);
}

SEPCONV_INLINE vec<float> permute(vec<float> x, __m512i order) {
  return reinterpret_cast<vec<float>>(_mm512_maskz_permutexvar_ps(0xffff, order, reinterpret_cast<__m512>(x)));
}

SEPCONV_INLINE vec<double> permute(vec<double> x, __m512i order) {
  return reinterpret_cast<vec<double>>(_mm512_maskz_permutexvar_pd(0xff, order, reinterpret_cast<__m512d>(x)));
}

// The first n lanes, n in [0, 16].
SEPCONV_INLINE unsigned first_lanes(int64_t n) { return (1u << n) - 1; }

SEPCONV_INLINE vec<float> load_partial(const float* p, int64_t n) {
  return reinterpret_cast<vec<float>>(_mm512_maskz_loadu_ps(static_cast<__mmask16>(first_lanes(n)), p));
}

SEPCONV_INLINE vec<double> load_partial(const double* p, int64_t n) {
  return reinterpret_cast<vec<double>>(_mm512_maskz_loadu_pd(static_cast<__mmask8>(first_lanes(n)), p));
}

SEPCONV_INLINE void store_partial(float* p, vec<float> x, int64_t n) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>(first_lanes(n)), reinterpret_cast<__m512>(x));
}

SEPCONV_INLINE void store_partial(double* p, vec<double> x, int64_t n) {
  _mm512_mask_storeu_pd(p, static_cast<__mmask8>(first_lanes(n)), reinterpret_cast<__m512d>(x));
}

SEPCONV_INLINE uvec<float> widen_bits(const bfloat* p) {  // as for AVX2
  return reinterpret_cast<uvec<float>>(
      _mm512_maskz_cvtepu16_epi32(0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))));
}

SEPCONV_INLINE uvec<float> rounded_to_bfloat(vec<float> x) {  // as in simd/convert.hpp, by a mask
  const uvec<float> u = reinterpret_cast<uvec<float>>(x), half_up = (u >> 16 & 1u) + 0x7fffu, quiet = u | 0x400000u;
  const __mmask16 number = _mm512_cmp_ps_mask(reinterpret_cast<__m512>(x), reinterpret_cast<__m512>(x), _CMP_ORD_Q);
  return reinterpret_cast<uvec<float>>(_mm512_mask_add_epi32(reinterpret_cast<__m512i>(quiet), number, reinterpret_cast<__m512i>(u),
                                                             reinterpret_cast<__m512i>(half_up)));
}

SEPCONV_INLINE void store_upper_halves(bfloat* p, uvec<float> x) {
  typedef short words __attribute__((vector_size(64)));
  const words upper = {1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31};
  const __m512i out = _mm512_maskz_permutexvar_epi16(0xffffffff, reinterpret_cast<__m512i>(upper), reinterpret_cast<__m512i>(x));
  __builtin_memcpy(p, &out, 32);
}

SEPCONV_INLINE vec<float> widen_half(const half* p) {
  return reinterpret_cast<vec<float>>(
      _mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))));
}

SEPCONV_INLINE void narrow_half(half* p, vec<float> x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_maskz_cvtps_ph(0xffff, reinterpret_cast<__m512>(x), _MM_FROUND_TO_NEAREST_INT));
}

// Between 16 elements of 16 bits and the first n of an array.
template <class S>
SEPCONV_INLINE void load_first(S* full, const S* p, int64_t n) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(full), _mm256_maskz_loadu_epi16(static_cast<__mmask16>(first_lanes(n)), p));
}

template <class S>
SEPCONV_INLINE void store_first(S* p, const S* full, int64_t n) {
  _mm256_mask_storeu_epi16(p, static_cast<__mmask16>(first_lanes(n)), _mm256_loadu_si256(reinterpret_cast<const __m256i*>(full)));
}

}  // namespace SEPCONV_ISA
}  // namespace sepconv

#include "simd/convert.hpp"
