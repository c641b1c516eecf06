// x86-64 with AVX2, FMA and F16C: 32-byte vectors, 16 registers.
#pragma once

#include <immintrin.h>

#define SEPCONV_VECTOR_BYTES 32
#include "simd/vector.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

SEPCONV_INLINE vec<float> fma(vec<float> a, vec<float> b, vec<float> c) {
  return reinterpret_cast<vec<float>>(
      _mm256_fmadd_ps(reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b), reinterpret_cast<__m256>(c)));
}

SEPCONV_INLINE vec<double> fma(vec<double> a, vec<double> b, vec<double> c) {
  return reinterpret_cast<vec<double>>(
      _mm256_fmadd_pd(reinterpret_cast<__m256d>(a), reinterpret_cast<__m256d>(b), reinterpret_cast<__m256d>(c)));
}

SEPCONV_INLINE vec<float> sqrt(vec<float> x) { return reinterpret_cast<vec<float>>(_mm256_sqrt_ps(reinterpret_cast<__m256>(x))); }

SEPCONV_INLINE vec<double> sqrt(vec<double> x) {
  return reinterpret_cast<vec<double>>(_mm256_sqrt_pd(reinterpret_cast<__m256d>(x)));
}

// limit > x ? limit : x and limit < x ? limit : x. The instructions return their second operand when they cannot tell, so NaN and -0
// pass.
SEPCONV_INLINE vec<float> at_least(vec<float> x, vec<float> limit) {
  return reinterpret_cast<vec<float>>(_mm256_max_ps(reinterpret_cast<__m256>(limit), reinterpret_cast<__m256>(x)));
}

SEPCONV_INLINE vec<double> at_least(vec<double> x, vec<double> limit) {
  return reinterpret_cast<vec<double>>(_mm256_max_pd(reinterpret_cast<__m256d>(limit), reinterpret_cast<__m256d>(x)));
}

SEPCONV_INLINE vec<float> at_most(vec<float> x, vec<float> limit) {
  return reinterpret_cast<vec<float>>(_mm256_min_ps(reinterpret_cast<__m256>(limit), reinterpret_cast<__m256>(x)));
}

SEPCONV_INLINE vec<double> at_most(vec<double> x, vec<double> limit) {
  return reinterpret_cast<vec<double>>(_mm256_min_pd(reinterpret_cast<__m256d>(limit), reinterpret_cast<__m256d>(x)));
}

// Lane k of the result is lane order[k]; of double, its halves.
template <class T>
using lane_order = __m256i;

template <class T>
SEPCONV_INLINE __m256i order_of(const typename traits<T>::integer* order) {
  const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(order));
  if (sizeof(T) == 4) return x;
  const __m256i even = _mm256_add_epi64(x, x);  // below 8
  return _mm256_or_si256(even, _mm256_slli_epi64(_mm256_add_epi64(even, _mm256_set1_epi64x(1)), 32));
}

SEPCONV_INLINE vec<float> permute(vec<float> x, __m256i order) {
  return reinterpret_cast<vec<float>>(_mm256_permutevar8x32_ps(reinterpret_cast<__m256>(x), order));
}

SEPCONV_INLINE vec<double> permute(vec<double> x, __m256i order) {
  return reinterpret_cast<vec<double>>(_mm256_permutevar8x32_ps(reinterpret_cast<__m256>(x), order));
}

// Lane k is x[order[k]], of the first 16 bytes: both halves have all of them, so that nothing crosses, which would cost more.
template <class T>
SEPCONV_INLINE vec<T> permute_few(const T* x, __m256i order) {
  const __m256 both = _mm256_broadcast_ps(reinterpret_cast<const __m128*>(x));
  return reinterpret_cast<vec<T>>(_mm256_permutevar_ps(both, order));
}

// The first n lanes of a mask, n in [0, lanes]: an unaligned look into a run of ones followed by zeros.
template <class T>
SEPCONV_INLINE __m256i first_lanes(int64_t n) {
  alignas(32) static const int32_t ones[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(ones + 8 - n * static_cast<int64_t>(sizeof(T) / 4)));
}

SEPCONV_INLINE vec<float> load_partial(const float* p, int64_t n) {
  return reinterpret_cast<vec<float>>(_mm256_maskload_ps(p, first_lanes<float>(n)));
}

SEPCONV_INLINE vec<double> load_partial(const double* p, int64_t n) {
  return reinterpret_cast<vec<double>>(_mm256_maskload_pd(p, first_lanes<double>(n)));
}

SEPCONV_INLINE void store_partial(float* p, vec<float> x, int64_t n) {
  _mm256_maskstore_ps(p, first_lanes<float>(n), reinterpret_cast<__m256>(x));
}

SEPCONV_INLINE void store_partial(double* p, vec<double> x, int64_t n) {
  _mm256_maskstore_pd(p, first_lanes<double>(n), reinterpret_cast<__m256d>(x));
}

// The first n lanes, n below `lanes`, by halves: AMD's processors take as long for a masked store as for ten others. It is more code.
SEPCONV_INLINE void store_some(float* p, vec<float> x, int64_t n) {
  const __m256 all = reinterpret_cast<__m256>(x);
  __m128 rest = _mm256_castps256_ps128(all);
  if (n & 4) {
    _mm_storeu_ps(p, rest);
    rest = _mm256_extractf128_ps(all, 1);
    p += 4;
  }
  if (n & 2) {
    _mm_storel_pi(reinterpret_cast<__m64*>(p), rest);
    rest = _mm_movehl_ps(rest, rest);
    p += 2;
  }
  if (n & 1) _mm_store_ss(p, rest);
}

SEPCONV_INLINE void store_some(double* p, vec<double> x, int64_t n) { store_partial(p, x, n); }

// Lane k from x[2 * k + Offset]. Loads put halves where a shuffle within halves finds them; GCC takes two permutations across and a blend.
template <int Offset>
SEPCONV_INLINE vec<float> load_every_second(const float* x) {
  const __m256 first = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(x)), _mm_loadu_ps(x + 8), 1);
  const __m256 second = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(x + 4)), _mm_loadu_ps(x + 12), 1);
  return reinterpret_cast<vec<float>>(_mm256_shuffle_ps(first, second, Offset ? 0xdd : 0x88));
}

template <int Offset>
SEPCONV_INLINE vec<double> load_every_second(const double* x) {
  const __m256d first = _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(x)), _mm_loadu_pd(x + 4), 1);
  const __m256d second = _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(x + 2)), _mm_loadu_pd(x + 6), 1);
  return reinterpret_cast<vec<double>>(Offset ? _mm256_unpackhi_pd(first, second) : _mm256_unpacklo_pd(first, second));
}

SEPCONV_INLINE uvec<float> widen_bits(const bfloat* p) {  // what compilers make of __builtin_convertvector takes three times as long
  return reinterpret_cast<uvec<float>>(_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}

SEPCONV_INLINE vec<float> widen_half(const half* p) {
  return reinterpret_cast<vec<float>>(_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}

SEPCONV_INLINE void narrow_half(half* p, vec<float> x) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(reinterpret_cast<__m256>(x), _MM_FROUND_TO_NEAREST_INT));
}

}  // namespace SEPCONV_ISA
}  // namespace sepconv

#include "simd/convert.hpp"
