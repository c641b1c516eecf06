// Depthwise filter with lanes over pixels for the commonest kernels: a block of rows at a time, so that each input vector is loaded
// once for all rows of outputs that it reaches.
#pragma once

#include "simd/simd.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

template <class T, int Taps, int Rows>
static void filter_rows_of_plane(const filter_plane_args& g, const T* x, T* y) {
  const T* w = static_cast<const T*>(g.weights);
  const vec<T> bias = broadcast(static_cast<T>(g.bias));
  const vec<T> lo = broadcast(static_cast<T>(g.lo)), hi = broadcast(static_cast<T>(g.hi));
  for (int64_t at = 0; at < g.count; at += lanes<T>) {
    vec<T> sum[Rows] = {};
    unroll<Rows + Taps - 1>::run([&](auto i) {
      constexpr int row = decltype(i)::value;
      unroll<Taps>::run([&](auto j) {
        constexpr int column = decltype(j)::value;
        const vec<T> value = load(x + at + row * g.pitch + column);
        unroll<Rows>::run([&](auto r) {
          constexpr int tap = row - decltype(r)::value;
          if constexpr (tap >= 0 && tap < Taps)
            sum[decltype(r)::value] = fma(value, broadcast(w[tap * Taps + column]), sum[decltype(r)::value]);
        });
      });
    });
    unroll<Rows>::run([&](auto r) {
      T* target = y + at + decltype(r)::value * g.output_row;
      const vec<T> out = clamp<T>(sum[decltype(r)::value] + bias, lo, hi);
      if (g.count - at >= lanes<T>)
        store(target, out);
      else
        store_partial(target, out, g.count - at);
    });
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
