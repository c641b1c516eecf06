// What lies between sums and memory: the clamp, and loads from and stores to a storage type (the type itself, float16 or bfloat16).
#pragma once

namespace sepconv {
namespace SEPCONV_ISA {

// NaN and -0 pass.
template <class T>
SEPCONV_INLINE vec<T> clamp(vec<T> x, vec<T> lo, vec<T> hi) {
  return at_most(at_least(x, lo), hi);
}

SEPCONV_INLINE vec<float> load_as(const float* p) { return load(p); }
SEPCONV_INLINE vec<double> load_as(const double* p) { return load(p); }
SEPCONV_INLINE vec<float> load_as(const half* p) { return widen_half(p); }

SEPCONV_INLINE vec<float> load_as(const bfloat* p) {
  typedef traits<float>::short_type shorts;
  shorts x;
  __builtin_memcpy(&x, p, sizeof(x));
  return reinterpret_cast<vec<float>>(__builtin_convertvector(x, uvec<float>) << 16);
}

SEPCONV_INLINE void store_as(float* p, vec<float> x) { store(p, x); }
SEPCONV_INLINE void store_as(double* p, vec<double> x) { store(p, x); }
SEPCONV_INLINE void store_as(half* p, vec<float> x) { narrow_half(p, x); }

// Integer rounding to nearest even; a NaN stays one.
SEPCONV_INLINE void store_as(bfloat* p, vec<float> x) {
  typedef traits<float>::short_type shorts;
  const uvec<float> u = reinterpret_cast<uvec<float>>(x);
  const uvec<float> rounded = (u + 0x7fffu + (u >> 16 & 1u)) >> 16;
  const uvec<float> quiet = u >> 16 | 0x40u;
  const uvec<float> is_nan = reinterpret_cast<uvec<float>>((u & 0x7fffffffu) > 0x7f800000u);
  const shorts out = __builtin_convertvector((is_nan & quiet) | (~is_nan & rounded), shorts);
  __builtin_memcpy(p, &out, sizeof(out));
}

SEPCONV_INLINE vec<float> load_as_partial(const float* p, int64_t n) { return load_partial(p, n); }
SEPCONV_INLINE vec<double> load_as_partial(const double* p, int64_t n) { return load_partial(p, n); }
SEPCONV_INLINE void store_as_partial(float* p, vec<float> x, int64_t n) { store_partial(p, x, n); }
SEPCONV_INLINE void store_as_partial(double* p, vec<double> x, int64_t n) { store_partial(p, x, n); }

// 16-bit types have no masks: through a full vector on the stack.
template <class S>
SEPCONV_INLINE vec<float> load_as_partial(const S* p, int64_t n) {
  S full[lanes<float>] = {};
  for (int64_t i = 0; i < n; ++i) full[i] = p[i];
  return load_as(full);
}

template <class S>
SEPCONV_INLINE void store_as_partial(S* p, vec<float> x, int64_t n) {
  S full[lanes<float>];
  store_as(full, x);
  for (int64_t i = 0; i < n; ++i) p[i] = full[i];
}

}  // namespace SEPCONV_ISA
}  // namespace sepconv
