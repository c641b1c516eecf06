// Depthwise filter with lanes over pixels for the commonest kernels: a block of rows at a time, so that each input vector is loaded
// once for all rows of outputs that it reaches.
#pragma once

#include "simd/simd.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

template <class T, int Taps, int Rows>
static void filter_rows_of_plane(const filter_plane_args& g, const T* x, T* y) {
  vec<T> weight[Taps * Taps];  // those that find no register are operands
  unroll<Taps * Taps>::run([&](auto t) { weight[decltype(t)::value] = broadcast(static_cast<const T*>(g.weights)[decltype(t)::value]); });
  const vec<T> bias = broadcast(static_cast<T>(g.bias));
  const vec<T> lo = broadcast(static_cast<T>(g.lo)), hi = broadcast(static_cast<T>(g.hi));
  const ptrdiff_t pitch = g.pitch, output_row = g.output_row;
  for (int64_t left = g.count; left > 0; left -= lanes<T>, x += lanes<T>, y += lanes<T>) {
    if (left < lanes<T> && left < g.count) x += left - lanes<T>, y += left - lanes<T>, left = lanes<T>;  // the last vector begins early
    vec<T> sum[Rows] = {};
    const T* line = x;
    unroll<Rows + Taps - 1>::run([&](auto i) {
      constexpr int row = decltype(i)::value;
      unroll<Taps>::run([&](auto j) {
        constexpr int column = decltype(j)::value;
        const vec<T> value = load(line + column);
        unroll<Rows>::run([&](auto r) {
          constexpr int tap = row - decltype(r)::value;
          if constexpr (tap >= 0 && tap < Taps)
            sum[decltype(r)::value] = fma(value, weight[tap * Taps + column], sum[decltype(r)::value]);
        });
      });
      line += pitch;
    });
    const auto finish = [&](auto&& put) __attribute__((always_inline)) {
      T* target = y;
      unroll<Rows>::run([&](auto r) {
        put(target, clamp<T>(sum[decltype(r)::value] + bias, lo, hi));
        target += output_row;
      });
    };
    if (left >= lanes<T>)
      finish([](T* target, vec<T> out) __attribute__((always_inline)) { store(target, out); });
    else
      finish([&](T* target, vec<T> out) __attribute__((always_inline)) { store_some(target, out, left); });
  }
}

template <class T, int Taps>
static void filter_plane(const filter_plane_args* args) {
  const filter_plane_args& g = *args;
  const T* x = static_cast<const T*>(g.input);
  T* y = static_cast<T*>(g.output);
  const int64_t blocks = (g.rows + 3) / 4;
  for (int64_t b = 0; b < blocks; ++b) {  // even blocks
    const int64_t first = b * g.rows / blocks, rows = (b + 1) * g.rows / blocks - first;
    const auto run = rows == 4 ? filter_rows_of_plane<T, Taps, 4>
                               : rows == 3 ? filter_rows_of_plane<T, Taps, 3>
                                           : rows == 2 ? filter_rows_of_plane<T, Taps, 2> : filter_rows_of_plane<T, Taps, 1>;
    run(g, x + first * g.pitch, y + first * g.output_row);
  }
}

}  // namespace SEPCONV_ISA
}  // namespace sepconv
