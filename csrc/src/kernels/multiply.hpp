// The micro-kernel: Rows x (Vectors * lanes) sums, one multiply-add chain each, k ascending.
//
// sum[row][column] = sum over k of broadcast(row, k) * lanes(k, column), by the multiply-adds of P: numbers<T> or bfloats
// (simd/product.hpp), where k may count pairs. Which of the two is pixels and which is filters is the caller's choice; what differs is
// where row and k of the broadcast operand lie (RowStep, KStep: constants, or addresses spill; 0 means row_step or block_step) and whether a
// bias belongs to a column or to a row.
#pragma once

#include "kernels/tiles.hpp"
#include "simd/product.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

// Kernels of `filters` with fewer rows, and all others, take one group of rows, for the size of their code.
constexpr int grouped_rows = filters_rows / 2 + 1;

// The first n lanes of a vector a row: once for all kernels, for the size of their code.
template <class T>
[[gnu::noinline]] static void store_parts(const T* last, int rows, T* to, ptrdiff_t step, int64_t n) {
  for (; rows > 0; --rows, last += lanes<T>, to += step) store_some(to, load(last), n);
}

template <class P, int Rows, int Vectors, int RowStep, int KStep, bool BiasOfColumn>
static void multiply(const multiply_args* args) {
  typedef typename P::sum T;
  typedef typename P::element E;
  const multiply_args& g = *args;
  const ptrdiff_t lane_step = BiasOfColumn ? Vectors * lanes<T> : g.lane_step;  // packed panels are dense
  const ptrdiff_t row_step = RowStep ? RowStep : g.row_step;
  const ptrdiff_t k_step = KStep ? KStep : g.block_step, output_row = g.output_row;
  const int64_t last_lanes = P::stores_parts ? g.last_lanes : lanes<T>;
  const char* ahead = static_cast<const char*>(g.ahead);
  // A loop of two steps of k is up to 20 % faster where weights come from L2; one of four, with AVX2, where another thread uses the core, too:
  // instructions count then. Other tiles are rare, and so are doubles.
  constexpr bool often = (BiasOfColumn || SEPCONV_ISA_NUMBER == 2) && P::stores_parts && sizeof(T) == 4 &&
                         7 * Rows * Vectors >= (SEPCONV_ISA_NUMBER == 2 ? 5 : 6) * filters_sums;
  constexpr int together = !often ? 1 : SEPCONV_ISA_NUMBER == 2 && Rows * Vectors == filters_sums ? 4 : 2;
  const E* rows = static_cast<const E*>(g.broadcast);
  T* first = static_cast<T*>(g.output);
  constexpr bool groups = BiasOfColumn && KStep == 1 && !P::lean && Rows >= grouped_rows;
  constexpr bool fetches_output = BiasOfColumn && !P::lean && sizeof(T) == 4 && Vectors * lanes<T> % block_channels<T> == 0 &&
                                  4 * Rows * Vectors >= 3 * filters_sums;
  int64_t group = 0;
  do {
    const E* b = static_cast<const E*>(g.lanes);
    const T* bias = static_cast<const T*>(g.bias);
    T* y = first;
    int64_t panel = 0;
    do {
      if (!BiasOfColumn) b = static_cast<const E*>(g.lanes) + panel * Vectors * lanes<T>;
      vec<T> sum[Rows][Vectors] = {};
      const auto pin = [&] {  // nothing that is summed moves across a change of modes
        if constexpr (P::modes::flushes)
          unroll<Rows>::run([&](auto r) {
            unroll<Vectors>::run([&](auto v) {
              vec<T>& s = sum[decltype(r)::value][decltype(v)::value];
              s = pinned(s);
            });
          });
      };
      typename P::modes modes;
      pin();
      const E* block = rows;
      for (int64_t pass = g.passes, left = g.blocks; pass > 0; block += g.block_step) {
        for (int64_t line = 0; line < g.ahead_lines; ++line, ahead += 64) __builtin_prefetch(ahead, 0, 2);
        int64_t steps = block_channels<T>;
        if (--left == 0) {
          steps = g.last_block;
          left = g.blocks;
          --pass;
        }
        const E* a = block;
        const auto step = [&](auto) __attribute__((always_inline)) {
          typename P::vector column[Vectors];
          unroll<Vectors>::run([&](auto v) { column[decltype(v)::value] = P::load(b + decltype(v)::value * lanes<T>); });
          unroll<Rows>::run([&](auto r) { add_row<P>(a + decltype(r)::value * row_step, column, sum[decltype(r)::value]); });
          a += k_step;
          b += lane_step;
        };
        if constexpr (together > 1) {
          for (; steps >= together; steps -= together) {
            unroll<together>::run(step);
            asm("" : "+r"(steps));  // or pointers are computed anew behind the loop, at length
          }
          for (; steps > 0; --steps) step(0);
        } else {
          do step(0);
          while (--steps > 0);
        }
      }
      pin();
      modes.leave();
      pin();
      constexpr bool large = BiasOfColumn && KStep && 2 * Rows * Vectors > filters_sums;
      finish_sums<large, T>(g, sum, [&](auto r, auto v) __attribute__((always_inline)) {
        return BiasOfColumn ? load(bias + decltype(v)::value * lanes<T>) : broadcast(bias[decltype(r)::value]);
      });
      if (BiasOfColumn) bias += Vectors * lanes<T>;
      T* line = y;
      unroll<Rows>::run([&](auto r) {
        unroll<Vectors>::run([&](auto v) {
          const vec<T> out = sum[decltype(r)::value][decltype(v)::value];
          T* const target = line + decltype(v)::value * lanes<T>;
          if (decltype(v)::value + 1 < Vectors || !P::stores_parts)
            store(target, out);
          else if constexpr (masked_stores_are_free)
            store_some(target, out, last_lanes);
          else if (last_lanes == lanes<T>)
            store(target, out);
        });
        if constexpr (fetches_output) __builtin_prefetch(line + g.output_ahead, 1);  // of two lines the other one follows by itself
        line += output_row;
        asm("" : "+r"(line));  // or all rows' addresses are computed before the loop over panels, and spilled
      });
      if (P::stores_parts && !masked_stores_are_free && __builtin_expect(last_lanes != lanes<T>, 0)) {
        alignas(SEPCONV_VECTOR_BYTES) T last[Rows * lanes<T>];
        unroll<Rows>::run([&](auto r) { store(last + decltype(r)::value * lanes<T>, sum[decltype(r)::value][Vectors - 1]); });
        store_parts(last, Rows, y + (Vectors - 1) * lanes<T>, output_row, last_lanes);
      }
      y += Vectors * lanes<T>;
    } while (++panel < g.panels);
    rows += Rows * row_step;
    first += Rows * output_row;
  } while (groups && ++group < g.groups);
}

// Of doubles and of bfloat16 there are fewer shapes, for the size of their code: over filters none wider than that with the most rows.
template <class P>
constexpr int vectors_over_filters = P::lean || sizeof(typename P::sum) == 8 ? filters_sums / filters_rows : filters_vectors;
template <class P>
constexpr int sums_over_pixels = P::lean ? pixels_sums * 2 / 3 : pixels_sums;

// An address for each row fits beside the others.
constexpr bool steps_over_rows = filters_rows <= 6;

template <class P, int Rows, int Vectors>
constexpr void fill_vectors(multiply_set& set) {
  if constexpr (Vectors > 0) {
    if constexpr (Rows <= filters_rows && Vectors <= vectors_over_filters<P> && Rows * Vectors <= filters_sums) {
      set.filters[Rows][Vectors] = multiply<P, Rows, Vectors, steps_over_rows ? 0 : block_channels<typename P::sum>, 1, true>;
      set.planar[Rows][Vectors] = multiply<P, Rows, Vectors, 1, 0, true>;
    }
    if constexpr (Rows <= pixels_rows && Vectors <= pixels_vectors && Rows * Vectors <= sums_over_pixels<P>)
      set.pixels[Rows][Vectors] = multiply<P, Rows, Vectors, 1, pixels_rows, false>;
    fill_vectors<P, Rows, Vectors - 1>(set);
  }
}

template <class P, int Rows>
constexpr void fill_rows(multiply_set& set) {
  if constexpr (Rows > 0) {
    fill_vectors<P, Rows, max_vectors>(set);
    fill_rows<P, Rows - 1>(set);
  }
}

template <class P>
constexpr void fill_products(multiply_set& set) {
  set.lanes = lanes<typename P::sum>;
  set.filters_rows = filters_rows;
  set.filters_vectors = vectors_over_filters<P>;
  set.filters_sums = filters_sums;
  set.pixels_rows = pixels_rows;
  set.pixels_vectors = pixels_vectors;
  set.pixels_sums = sums_over_pixels<P>;
  set.grouped_rows = P::lean ? max_rows + 1 : grouped_rows;
  set.stores_parts = P::stores_parts;
  set.steps_over_rows = steps_over_rows;
  fill_rows<P, max_rows>(set);
}

}  // namespace SEPCONV_ISA
}  // namespace sepconv
