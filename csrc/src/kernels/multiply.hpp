// The micro-kernel: Rows x (Vectors * lanes) sums, one multiply-add chain each, k ascending.
//
// sum[row][column] = sum over k of broadcast(row, k) * lanes(k, column). Which of the two is pixels and which is filters is the
// caller's choice; what differs is where row and k of the broadcast operand lie (RowStep, KStep: constants, or addresses spill;
// KStep 0 means block_step) and whether a bias belongs to a column or to a row.
#pragma once

#include "simd/simd.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

template <class T, int Rows, int Vectors, int RowStep, int KStep, bool BiasOfColumn>
static void multiply(const multiply_args* args) {
  const multiply_args& g = *args;
  const T* block = static_cast<const T*>(g.broadcast);
  const T* b = static_cast<const T*>(g.lanes);
  const ptrdiff_t lane_step = BiasOfColumn ? Vectors * lanes<T> : g.lane_step;  // packed panels are dense
  const ptrdiff_t k_step = KStep ? KStep : g.block_step;
  const char* ahead = static_cast<const char*>(g.ahead);
  vec<T> sum[Rows][Vectors] = {};
  for (int64_t pass = 0; pass < g.passes; ++pass) {
    for (int64_t i = 0; i < g.blocks; ++i, block += g.block_step) {
      const T* a = block;
      for (int64_t line = 0; line < g.ahead_lines; ++line, ahead += 64) __builtin_prefetch(ahead, 0, 2);
      const T* end = a + (i + 1 < g.blocks ? block_channels<T> : g.last_block) * k_step;
      for (; a < end; a += k_step, b += lane_step) {
        vec<T> column[Vectors];
        unroll<Vectors>::run([&](auto v) { column[decltype(v)::value] = load(b + decltype(v)::value * lanes<T>); });
        unroll<Rows>::run([&](auto r) {
          const vec<T> row = broadcast(a[decltype(r)::value * RowStep]);
          unroll<Vectors>::run([&](auto v) {
            vec<T>& s = sum[decltype(r)::value][decltype(v)::value];
            s = fma(row, column[decltype(v)::value], s);
          });
        });
      }
    }
  }
  const T* bias = static_cast<const T*>(g.bias);
  const vec<T> lo = broadcast(static_cast<T>(g.lo)), hi = broadcast(static_cast<T>(g.hi));
  T* y = static_cast<T*>(g.output);
  unroll<Rows>::run([&](auto r) {
    unroll<Vectors>::run([&](auto v) {
      const vec<T> shift = BiasOfColumn ? load(bias + decltype(v)::value * lanes<T>) : broadcast(bias[decltype(r)::value]);
      store(y + decltype(r)::value * g.output_row + decltype(v)::value * lanes<T>,
            clamp<T>(sum[decltype(r)::value][decltype(v)::value] + shift, lo, hi));
    });
  });
}

}  // namespace SEPCONV_ISA
}  // namespace sepconv
