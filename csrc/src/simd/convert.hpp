// What lies between sums and memory: the clamp, and loads from and stores to a storage type (the type itself, float16 or bfloat16).
#pragma once

namespace sepconv {
namespace SEPCONV_ISA {

// NaN and -0 pass.
template <class T>
SEPCONV_INLINE vec<T> clamp(vec<T> x, vec<T> lo, vec<T> hi) {
  return at_most(at_least(x, lo), hi);
}

// Sums of a tile plus bias(row, column), in the bounds g.lo and g.hi. If asked for, infinite ones cost nothing: a comparison for each sum
// takes as long as a tap.
template <bool Asks, class T, int Rows, int Columns, class G, class F>
SEPCONV_INLINE void finish_sums(const G& g, vec<T> (&sum)[Rows][Columns], F&& bias) {
  const auto each = [&](auto&& f) __attribute__((always_inline)) {  // or the sums live in memory
    unroll<Rows>::run([&](auto r) __attribute__((always_inline)) {
      unroll<Columns>::run([&](auto c) __attribute__((always_inline)) {
        vec<T>& s = sum[decltype(r)::value][decltype(c)::value];
        s = f(s, r, c);
      });
    });
  };
  each([&](vec<T> s, auto r, auto c) __attribute__((always_inline)) {
    s = s + bias(r, c);
    return Asks ? s : clamp<T>(s, broadcast(static_cast<T>(g.lo)), broadcast(static_cast<T>(g.hi)));
  });
  if (Asks && g.lo > -__builtin_inf())
    each([&](vec<T> s, auto, auto) __attribute__((always_inline)) { return at_least(s, broadcast(static_cast<T>(g.lo))); });
  if (Asks && g.hi < __builtin_inf())
    each([&](vec<T> s, auto, auto) __attribute__((always_inline)) { return at_most(s, broadcast(static_cast<T>(g.hi))); });
}

#if SEPCONV_ISA_NUMBER != 2
// The first n lanes; n is below `lanes` unless masked stores are free.
template <class T>
SEPCONV_INLINE void store_some(T* p, vec<T> x, int64_t n) {
  store_partial(p, x, n);
}
#endif

SEPCONV_INLINE vec<float> load_as(const float* p) { return load(p); }
SEPCONV_INLINE vec<double> load_as(const double* p) { return load(p); }
SEPCONV_INLINE vec<float> load_as(const half* p) { return widen_half(p); }

#if SEPCONV_ISA_NUMBER != 2 && SEPCONV_ISA_NUMBER != 3
SEPCONV_INLINE uvec<float> widen_bits(const bfloat* p) {
  typedef traits<float>::short_type shorts;
  shorts x;
  __builtin_memcpy(&x, p, sizeof(x));
  return __builtin_convertvector(x, uvec<float>);
}
#endif

SEPCONV_INLINE vec<float> load_as(const bfloat* p) { return reinterpret_cast<vec<float>>(widen_bits(p) << 16); }

SEPCONV_INLINE void store_as(float* p, vec<float> x) { store(p, x); }
SEPCONV_INLINE void store_as(double* p, vec<double> x) { store(p, x); }
SEPCONV_INLINE void store_as(half* p, vec<float> x) { narrow_half(p, x); }

#if SEPCONV_ISA_NUMBER != 3
// To nearest even by integers, in the upper halves; a NaN is cut, and stays one.
SEPCONV_INLINE uvec<float> rounded_to_bfloat(vec<float> x) {
  const uvec<float> u = reinterpret_cast<uvec<float>>(x);
  const uvec<float> number = reinterpret_cast<uvec<float>>(x == x);
  const uvec<float> half_up = (u >> 16 & 1u) + 0x7fffu;
  const uvec<float> quiet = ~number & 0x400000u;
  return (u + (half_up & number)) | quiet;
}

SEPCONV_INLINE void store_upper_halves(bfloat* p, uvec<float> x) {
  typedef traits<float>::short_type shorts;
  const shorts out = __builtin_convertvector(x >> 16, shorts);
  __builtin_memcpy(p, &out, sizeof(out));
}
#endif

SEPCONV_INLINE void store_as(bfloat* p, vec<float> x) { store_upper_halves(p, rounded_to_bfloat(x)); }

#if SEPCONV_ISA_NUMBER != 3  // whose masks know 16-bit lanes
template <class S>
SEPCONV_INLINE void load_first(S* full, const S* p, int64_t n) {
  for (int64_t i = 0; i < lanes<float>; ++i) full[i] = i < n ? p[i] : S{};
}

template <class S>
SEPCONV_INLINE void store_first(S* p, const S* full, int64_t n) {
  for (int64_t i = 0; i < n; ++i) p[i] = full[i];
}
#endif

SEPCONV_INLINE vec<float> load_as_partial(const float* p, int64_t n) { return load_partial(p, n); }
SEPCONV_INLINE vec<double> load_as_partial(const double* p, int64_t n) { return load_partial(p, n); }
SEPCONV_INLINE void store_as_some(float* p, vec<float> x, int64_t n) { store_some(p, x, n); }
SEPCONV_INLINE void store_as_some(double* p, vec<double> x, int64_t n) { store_some(p, x, n); }

// 16-bit types go through a full vector on the stack.
template <class S>
SEPCONV_INLINE vec<float> load_as_partial(const S* p, int64_t n) {
  S full[lanes<float>];
  load_first(full, p, n);
  return load_as(full);
}

template <class S>
SEPCONV_INLINE void store_as_some(S* p, vec<float> x, int64_t n) {
  S full[lanes<float>];
  store_as(full, x);
  store_first(p, full, n);
}

}  // namespace SEPCONV_ISA
}  // namespace sepconv
