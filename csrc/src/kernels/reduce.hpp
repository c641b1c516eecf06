// Sums over pixels. A chain starts at +0 and takes the pixels in order; the caller cuts them into chunks and adds what comes out.
#pragma once

#include "kernels/tiles.hpp"
#include "simd/product.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

// The first n values of a vector, stored or added.
template <class T>
static __attribute__((noinline)) void store_first_of(T* y, vec<T> x, int64_t n, bool add) {
  if (n > lanes<T>) n = lanes<T>;
  store_partial(y, add ? load_partial(y, n) + x : x, n);
}

// outer_rows x (Vectors * lanes) sums of products, the gradient of a pointwise kernel: row r is broadcast, columns are lanes. `rows` and
// `columns` of them are stored.
template <class T, int Vectors>
static void outer_tile(const outer_args& g, const T* a, const T* (&column)[Vectors], int64_t rows, int64_t columns, T* y) {
  vec<T> sum[outer_rows][Vectors] = {};
  const ptrdiff_t row_step = g.rows.pixel, column_step = g.columns.pixel;
  ptrdiff_t at = 0;  // all column pointers advance alike
  const auto pixel = [&](auto) __attribute__((always_inline)) {
    vec<T> b[Vectors];
    unroll<Vectors>::run([&](auto v) { b[decltype(v)::value] = load(column[decltype(v)::value] + at); });
    unroll<outer_rows>::run([&](auto r) { add_row<numbers<T>>(a + decltype(r)::value, b, sum[decltype(r)::value]); });
    a += row_step;
    at += column_step;
  };
  int64_t p = g.pixels;
  for (; p > 1; p -= 2) unroll<2>::run(pixel);
  if (p > 0) pixel(0);
  const bool whole = columns >= Vectors * lanes<T>, add = g.add;
  unroll<outer_rows>::run([&](auto r) {
    if (decltype(r)::value >= rows) return;
    T* line = y + decltype(r)::value * g.output_row;
    unroll<Vectors>::run([&](auto v) {
      constexpr int first = decltype(v)::value * lanes<T>;
      const vec<T> s = sum[decltype(r)::value][decltype(v)::value];
      if (whole)
        store(line + first, add ? load(line + first) + s : s);
      else if (columns > first)
        store_first_of(line + first, s, columns - first, add);
    });
  });
}

template <class T, int Vectors>
static void outer_columns(const outer_args& g, int64_t first_vector) {
  constexpr int each = block_channels<T> / lanes<T>;  // vectors of a block
  const T* column[Vectors];
  unroll<Vectors>::run([&](auto v) {
    const int64_t at = first_vector + decltype(v)::value;
    column[decltype(v)::value] = static_cast<const T*>(g.columns.data) + at / each * g.columns.block + at % each * lanes<T>;
  });
  for (int64_t r = 0; r < g.rows_count; r += outer_rows)
    outer_tile<T, Vectors>(g, static_cast<const T*>(g.rows.data) + r / block_channels<T> * g.rows.block + r % block_channels<T>, column,
                           g.rows_count - r, g.columns_count - first_vector * lanes<T>,
                           static_cast<T*>(g.output) + r * g.output_row + first_vector * lanes<T>);
}

template <class T>
static void outer(const outer_args* args) {
  const outer_args& g = *args;
  const int64_t vectors = (g.columns_count + lanes<T> - 1) / lanes<T>, groups = (vectors + outer_vectors - 1) / outer_vectors;
  for (int64_t i = 0; i < groups; ++i) {  // even groups
    const int64_t first = i * vectors / groups, here = (i + 1) * vectors / groups - first;
    unroll<outer_vectors>::run([&](auto v) {
      if (here == decltype(v)::value + 1) outer_columns<T, decltype(v)::value + 1>(g, first);
    });
  }
}

// The output gradient where the output is in (lo, hi) (a bound of NaN is none), or as it is, and its sums. A pass of its own for what is
// commonest: functions that are flat outside an interval, or linear. Several vectors of a pixel at a time, so that whole cache lines
// follow one another.
template <class S, class T, bool Bounded, int Vectors, bool Whole>
static void mask_vectors(const mask_args& g, int64_t first) {
  constexpr int each = block_channels<T> / lanes<T>;  // vectors of a block
  const S* d = static_cast<const S*>(g.gradient) + first;
  const S* of = Bounded ? static_cast<const S*>(g.of) + first : d;
  const int64_t at = first / lanes<T>, count = g.channels - first;
  T* y = static_cast<T*>(g.output) + at / each * g.output_block + at % each * lanes<T>;
  T* const sums = static_cast<T*>(g.sums) + first;
  const vec<T> lo = broadcast(static_cast<T>(g.lo)), hi = broadcast(static_cast<T>(g.hi));
  const auto take = [&](const S* p) { return Whole ? load_as(p) : count > 0 ? load_as_partial(p, count) : vec<T>{}; };
  vec<T> sum[Vectors];
  unroll<Vectors>::run([&](auto v) { sum[decltype(v)::value] = load(sums + decltype(v)::value * lanes<T>); });
  for (int64_t p = 0; p < g.pixels; ++p, d += g.pixel, of += g.pixel, y += g.output_pixel)
    unroll<Vectors>::run([&](auto v) {
      constexpr int i = decltype(v)::value;
      vec<T> value = take(d + i * lanes<T>);
      if constexpr (Bounded) {
        const vec<T> x = take(of + i * lanes<T>);
        value = select<T>((x > lo) & ~(x >= hi), value, vec<T>{});
      }
      sum[i] = sum[i] + value;
      store(y + i / each * g.output_block + i % each * lanes<T>, value);
    });
  unroll<Vectors>::run([&](auto v) { store(sums + decltype(v)::value * lanes<T>, sum[decltype(v)::value]); });
}

template <class S, class T, bool Bounded>
static void mask_channels(const mask_args& g) {
  const int64_t end = (g.channels + block_channels<T> - 1) / block_channels<T> * block_channels<T>;
  int64_t c = 0;
#if SEPCONV_ISA_NUMBER != 1  // for the size of its code
  for (; c + 4 * lanes<T> <= g.channels; c += 4 * lanes<T>) mask_vectors<S, T, Bounded, 4, true>(g, c);
  for (; c + 2 * lanes<T> <= g.channels; c += 2 * lanes<T>) mask_vectors<S, T, Bounded, 2, true>(g, c);
#endif
  for (; c + lanes<T> <= g.channels; c += lanes<T>) mask_vectors<S, T, Bounded, 1, true>(g, c);
  for (; c < end; c += lanes<T>) mask_vectors<S, T, Bounded, 1, false>(g, c);
}

template <class S, class T>
static void mask_gradient(const mask_args* args) {
  if (args->of)
    mask_channels<S, T, true>(*args);
  else
    mask_channels<S, T, false>(*args);
}

// y[c] = sum over pixels of x[pixel * step + c]; `count` is a multiple of a vector.
template <class T>
static void sum_pixels(const void* source, ptrdiff_t step, int64_t pixels, int64_t count, void* target) {
  const T* x = static_cast<const T*>(source);
  T* y = static_cast<T*>(target);
  const auto sums = [&](auto n, int64_t c) __attribute__((always_inline)) {
    constexpr int vectors = decltype(n)::value;
    vec<T> sum[vectors] = {};
    const T* from = x + c;
    for (int64_t p = 0; p < pixels; ++p, from += step)
      unroll<vectors>::run([&](auto v) { sum[decltype(v)::value] = sum[decltype(v)::value] + load(from + decltype(v)::value * lanes<T>); });
    unroll<vectors>::run([&](auto v) { store(y + c + decltype(v)::value * lanes<T>, sum[decltype(v)::value]); });
  };
  int64_t c = 0;
  for (; c + 4 * lanes<T> <= count; c += 4 * lanes<T>) sums(index<4>{}, c);
  for (; c < count; c += lanes<T>) sums(index<1>{}, c);
}

// y += x
template <class T>
static void accumulate(const void* source, int64_t count, void* target) {
  const T* x = static_cast<const T*>(source);
  T* y = static_cast<T*>(target);
  int64_t i = 0;
  for (; i + lanes<T> <= count; i += lanes<T>) store(y + i, load(y + i) + load(x + i));
  if (i < count) store_partial(y + i, load_partial(y + i, count - i) + load_partial(x + i, count - i), count - i);
}

}  // namespace SEPCONV_ISA
}  // namespace sepconv
