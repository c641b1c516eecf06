// Depthwise filter with lanes over pixels: one output row of one channel. Taps come as offsets into lines that copy_lines laid out,
// so padding, stride and dilation are the caller's business.
#pragma once

#include "simd/simd.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

template <class T, int Vectors>
SEPCONV_INLINE void filter_run(const filter_line_args& g, int64_t at, int64_t count) {
  const T* x = static_cast<const T*>(g.input) + at;
  const T* w = static_cast<const T*>(g.weights);
  vec<T> sum[Vectors] = {};
  for (int64_t t = 0; t < g.taps; ++t) {
    const vec<T> weight = broadcast(w[t]);
    const T* line = x + g.offsets[t];
    unroll<Vectors>::run([&](auto v) {
      const vec<T> value = Vectors == 1 ? load_partial(line, count) : load(line + decltype(v)::value * lanes<T>);
      sum[decltype(v)::value] = fma(value, weight, sum[decltype(v)::value]);
    });
  }
  const vec<T> bias = broadcast(static_cast<T>(g.bias));
  const vec<T> lo = broadcast(static_cast<T>(g.lo)), hi = broadcast(static_cast<T>(g.hi));
  T* y = static_cast<T*>(g.output) + at;
  unroll<Vectors>::run([&](auto v) {
    const vec<T> out = clamp<T>(sum[decltype(v)::value] + bias, lo, hi);
    if (Vectors == 1 && count < lanes<T>)
      store_some(y, out, count);
    else
      store(y + decltype(v)::value * lanes<T>, out);
  });
}

template <class T>
static void filter_line(const filter_line_args* args) {
  const filter_line_args& g = *args;
  int64_t at = 0;
  for (; at + 8 * lanes<T> <= g.count; at += 8 * lanes<T>) filter_run<T, 8>(g, at, 0);
  for (; at + 4 * lanes<T> <= g.count; at += 4 * lanes<T>) filter_run<T, 4>(g, at, 0);
  for (; at + 2 * lanes<T> <= g.count; at += 2 * lanes<T>) filter_run<T, 2>(g, at, 0);
  for (; at < g.count; at += lanes<T>) {
    const int64_t last = g.count - lanes<T>;  // the last vector begins early
    filter_run<T, 1>(g, at <= last ? at : last < 0 ? 0 : last, last < 0 ? g.count : lanes<T>);
  }
}

}  // namespace SEPCONV_ISA
}  // namespace sepconv
