// The bodies of the depthwise filter with lanes over channels: how one vector of channels of a block of output pixels is summed.
//
//   patch   3x3, the commonest, with 32 registers: rows and columns of outputs, each input vector loaded once for all of them
//   slide   a width and stride known in advance: one row of outputs; a row's weights stay in registers
//   any     every other geometry, and what must not read beyond the last channel; input as operand of the multiply-add
//
// Each has a `narrow` one for less channels than two vectors hold.
//
// Those of few taps are `light`: what they store into is fetched, where it is far away; others are not for the size of their code.
//
// Columns outside the image: patch and slide test a bit each of the first and last input columns, which costs less than blocks of their own
// at the edges. `any` has two bodies, one without tests.
#pragma once

#include "simd/simd.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

struct tap_range {
  int64_t first, end;
};

// What a block of output pixels reads. Its input begins at the first row of `rows`, and at the column of the first pixel's first tap,
// which may lie outside.
struct tap_window {
  tap_range rows;      // of taps inside the image; of the block's input rows, for `patch`
  ptrdiff_t first_tap;  // where the weights begin
  int64_t columns;      // of a row of taps
  ptrdiff_t input_row, input_column, output_column;  // steps: between rows of taps, between columns, between a block's outputs
  int64_t stride;       // of columns
  int64_t fetched;      // the first row of taps of which the next block's share is fetched
  tap_range lit;        // the block's input columns inside the image
  uint64_t bits;        // the same, a bit each, where they are less than 64
};

// The least n >= 0 for which start + n * step >= 0.
SEPCONV_INLINE int64_t steps_to(int64_t start, int64_t step) { return start >= 0 ? 0 : step == 1 ? -start : (step - 1 - start) / step; }

// The k in [0, kernel + rows - 1) for which start + k * dilation lies in [0, size). More than one row goes without dilation.
SEPCONV_INLINE tap_range inside(int64_t start, int64_t dilation, int64_t kernel, int64_t size, int64_t rows) {
  const int64_t most = kernel + rows - 1;
  int64_t first = steps_to(start, dilation), end = steps_to(start - size, dilation);
  if (first > most) first = most;
  if (end > most) end = most;
  return {first, end > first ? end : first};
}

// Whether an input column of a block may lie outside the image, if each of the block's pixels has a tap inside.
constexpr bool may_lie_outside(int at, int columns, int width, int stride) { return at < width - 1 || at > (columns - 1) * stride; }

// Vectors of channels that a block takes at a time: a cache line, where a vector is half of one. Pixels are often a power of two apart, so
// that those of a block compete for a few sets of L1, and a line that is left half read must be fetched again.
constexpr int line_vectors = SEPCONV_ISA_NUMBER == 2 ? 2 : 1;

template <int Count, class T>
SEPCONV_INLINE void fetch_columns(const T* column, ptrdiff_t step) {
  unroll<Count>::run([&](auto) {
    __builtin_prefetch(column);
    column += step;
  });
}

// For 32 registers.
struct patch_3x3 {
  template <bool>
  using body = patch_3x3;  // inside and at the edges alike
  template <class>
  using narrow = patch_3x3;
  static constexpr bool partial = false, tests = true, light = true;
  static constexpr int rows = 4, columns = 5, fewest = 1, vectors = 1;
  template <bool, int V, class T, int Rows, int Columns>
  static SEPCONV_INLINE void run(const T* x, const tap_window& taps, const T* w, vec<T> (&sum)[Rows][Columns], int64_t) {
    x -= taps.rows.first * taps.input_row;
    vec<T> weight[9];
    unroll<9>::run([&](auto t) { weight[decltype(t)::value] = load(w + decltype(t)::value * block_channels<T>); });
    unroll<Rows + 2>::run([&](auto i) {
      constexpr int line = decltype(i)::value;
      if (line >= taps.rows.first && line < taps.rows.end) {
        const T* column = x;
        unroll<Columns + 2>::run([&](auto q) {
          constexpr int at = decltype(q)::value;
          constexpr bool tested = may_lie_outside(at, Columns, 3, 1);
          if (!tested || __builtin_expect(taps.bits >> at & 1, 1)) {
            const vec<T> value = load(column);
            unroll<Rows>::run([&](auto r) {
              constexpr int row = decltype(r)::value, tap_row = line - row;
              if constexpr (tap_row >= 0 && tap_row < 3)
                unroll<Columns>::run([&](auto p) {
                  constexpr int pixel = decltype(p)::value, tap = at - pixel;
                  if constexpr (tap >= 0 && tap < 3)
                    sum[row][pixel] = fma(value, weight[tap_row * 3 + tap], sum[row][pixel]);
                });
            });
          }
          column += taps.input_column;
        });
      }
      x += taps.input_row;
      asm("" : "+r"(x));  // or all addresses are computed before the loop over channels, and spilled
    });
  }
};

template <int Width, int Stride, int Vectors = Width <= 4 ? line_vectors : 1>  // of more, 16 registers don't hold the weights
struct slide {
  template <bool>
  using body = slide;  // inside and at the edges alike
  template <class T>
  using narrow = slide<Width, Stride, sizeof(T) == 4 ? 1 : Vectors>;  // for the size of its code
  static constexpr bool partial = false, tests = true, light = Width == 3;
  static constexpr int rows = 1, columns = 8 / Vectors, fewest = 4 / Vectors, vectors = Vectors;  // fewer columns are any's, for its code
  template <bool, int V, class T, int N>
  static SEPCONV_INLINE void run(const T* x, const tap_window& taps, const T* w, vec<T> (&sum)[1][N], int64_t) {
    constexpr int Columns = N / V;
    for (int64_t i = taps.rows.first; i < taps.rows.end; ++i, x += taps.input_row, w += Width * block_channels<T>) {
      vec<T> weight[Width][V];
      unroll<Width * V>::run([&](auto j) {
        weight[decltype(j)::value / V][decltype(j)::value % V] =
            load(w + decltype(j)::value / V * block_channels<T> + decltype(j)::value % V * lanes<T>);
      });
      const T* column = x;
      unroll<(Columns - 1) * Stride + Width>::run([&](auto q) {
        constexpr int at = decltype(q)::value;
        constexpr bool tested = may_lie_outside(at, Columns, Width, Stride);
        if (!tested || __builtin_expect(taps.bits >> at & 1, 1)) {
          unroll<V>::run([&](auto part) {
            constexpr int v = decltype(part)::value;
            const vec<T> value = load(column + v * lanes<T>);
            unroll<Width>::run([&](auto r) {  // from the last tap to the first: outputs ascending, each output's taps ascending
              constexpr int j = Width - 1 - decltype(r)::value;
              constexpr int p = (at - j) / Stride, i = p * V + v;
              if constexpr (at >= j && (at - j) % Stride == 0 && p < Columns) sum[0][i] = fma(value, weight[j][v], sum[0][i]);
            });
          });
        }
        column += taps.input_column;
      });
      if (i >= taps.fetched) fetch_columns<Columns * Stride>(column, taps.input_column);
    }
  }
};

template <bool Inside>
struct any_filter {
  template <class>
  using narrow = any_filter;
  static constexpr bool partial = true, tests = !Inside, light = Inside;
#if SEPCONV_ISA_NUMBER == 1  // for the size of its code
  static constexpr int rows = 1, columns = Inside ? 2 : 1;
#else
  static constexpr int rows = 1, columns = Inside ? 8 / line_vectors : 4;
#endif
  static constexpr int fewest = 1, vectors = line_vectors;
  template <bool Whole, int V, class T, int N>
  static SEPCONV_INLINE void run(const T* x, const tap_window& taps, const T* w, vec<T> (&sum)[1][N], int64_t count) {
    constexpr int Columns = N / V;
    const ptrdiff_t step = taps.stride * taps.input_column;
    for (int64_t i = taps.rows.first; i < taps.rows.end; ++i, x += taps.input_row) {
      const T* column = x;
      for (int64_t j = 0; j < taps.columns; ++j, column += taps.input_column, w += block_channels<T>) {
        vec<T> weight[V];
        unroll<V>::run([&](auto v) { weight[decltype(v)::value] = load(w + decltype(v)::value * lanes<T>); });
        unroll<Columns>::run([&](auto p) {
          constexpr int pixel = decltype(p)::value;
          const int64_t at = j + pixel * taps.stride;
          if (Inside || (at >= taps.lit.first && at < taps.lit.end)) {
            const T* from = column + pixel * step;
            unroll<V>::run([&](auto v) {
              constexpr int i = pixel * V + decltype(v)::value;
              const vec<T> value = Whole ? load(from + decltype(v)::value * lanes<T>) : load_partial(from, count);
              sum[0][i] = fma(value, weight[decltype(v)::value], sum[0][i]);
            });
          }
        });
      }
      if (Inside && i >= taps.fetched) fetch_columns<Columns>(column + (Columns * taps.stride - 1) * taps.input_column, step);
    }
  }
};

}  // namespace SEPCONV_ISA
}  // namespace sepconv
