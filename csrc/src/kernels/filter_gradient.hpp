// The gradient of a depthwise kernel, with lanes over channels: each tap sums input times output gradient over a run of output pixels,
// in raster order, one accumulator a tap and channel. What lies outside the image is left out.
//
// Rows of outputs that see the same kernel rows go together. As many taps sum them at a time as registers hold for a whole cache line of
// channels: pixels may lie so far apart that L1 keeps none until the line's other half is wanted.
#pragma once

#include "kernels/filter_blocks.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

// Of channels: vectors; of a kernel: rows, taps of a row, and both.
#if SEPCONV_ISA_NUMBER == 1  // for the size of its code
constexpr int gradient_vectors = 1, most_gradient_rows = 1, most_gradient_sums = 1;
template <class T>
constexpr int most_gradient_taps = 1;
#else
constexpr int gradient_vectors = block_channels<float> / lanes<float>, most_gradient_rows = 3;
constexpr int most_gradient_sums = gradient_vectors > 1 ? 6 : 15;
template <class T>
constexpr int most_gradient_taps = sizeof(T) == 4 ? 5 : 3;
#endif

// What neighbouring taps sum.
template <class T>
struct gradient_walk {
  int64_t column, pixels, output_width;  // outputs that see all the rows: column of the first, and their number
  int64_t inner, outer;                  // columns of outputs of which no tap lies outside the image
  int64_t left, stride, dilation;        // input column of the first tap at the first column of outputs
  int64_t width;                         // of the image
  const T* x;                            // what that tap reads there, for the first row of outputs
  ptrdiff_t x_row, x_pixel;              // elements, from one output to the one below, to the next
  ptrdiff_t tap_row, tap_column;         // elements, from one tap to the one below, to the next
  const T* d;                            // gradient of the first output
  ptrdiff_t d_pixel;
};

// sums: [tap][lane], `sums_row` from one kernel row to the next.
template <class T, int Rows, int Taps>
static void gradient_taps(const gradient_walk<T>& g, T* sums, ptrdiff_t sums_row) {
  vec<T> sum[Rows][Taps][gradient_vectors];
  const auto vectors = [](auto&& visit) __attribute__((always_inline)) { unroll<gradient_vectors>::run(visit); };
  const auto each = [&](auto&& visit) __attribute__((always_inline)) {
    unroll<Rows * Taps>::run([&](auto i) __attribute__((always_inline)) {
      constexpr int row = decltype(i)::value / Taps, tap = decltype(i)::value % Taps;
      vectors([&](auto v) __attribute__((always_inline)) {
        visit(sum[row][tap][decltype(v)::value], sums + row * sums_row + tap * block_channels<T> + decltype(v)::value * lanes<T>);
      });
    });
  };
  each([](vec<T>& s, const T* at) { s = load(at); });
  const T *d = g.d, *line = g.x;
  int64_t column = g.column, pixels = g.pixels;
  for (; pixels > 0; line += g.x_row, column = 0) {
    const int64_t end = pixels < g.output_width - column ? column + pixels : g.output_width;
    const T* x = line + column * g.x_pixel;
    pixels -= end - column;
    const auto pixel = [&](auto whole) __attribute__((always_inline)) {  // or the sums live in memory
      vec<T> gradient[gradient_vectors];
      vectors([&](auto v) __attribute__((always_inline)) {
        gradient[decltype(v)::value] = load(d + decltype(v)::value * lanes<T>);
        SEPCONV_IN_REGISTER(gradient[decltype(v)::value]);
      });
      unroll<Taps>::run([&](auto t) __attribute__((always_inline)) {
        constexpr int tap = decltype(t)::value;
        const int64_t at = g.left + column * g.stride + tap * g.dilation;
        if (!decltype(whole)::value && (at < 0 || at >= g.width)) return;
        unroll<Rows>::run([&](auto r) __attribute__((always_inline)) {
          const T* const at_tap = x + decltype(r)::value * g.tap_row + tap * g.tap_column;
          vectors([&](auto v) __attribute__((always_inline)) {
            vec<T>& s = sum[decltype(r)::value][tap][decltype(v)::value];
            s = fma(load(at_tap + decltype(v)::value * lanes<T>), gradient[decltype(v)::value], s);
          });
        });
      });
      ++column, x += g.x_pixel, d += g.d_pixel;
    };
    const int64_t outer = g.outer < end ? g.outer : end;
    while (column < end) {
      if (column < g.inner || column >= outer)
        pixel(index<0>{});
      else
        do pixel(index<1>{});
        while (column < outer);
    }
  }
  each([](vec<T>& s, T* at) { store(at, s); });
}

template <class T>
static void filter_gradient(const filter_gradient_args* args) {
  const filter_gradient_args& a = *args;
  const int64_t taps = a.kernel_height * a.kernel_width, groups = (a.kernel_width + most_gradient_taps<T> - 1) / most_gradient_taps<T>;
  T* const sums = static_cast<T*>(a.sums);
  for (int64_t i = 0; i < taps * a.channels; i += lanes<T>) store(sums + i, vec<T>{});
  const auto rows_at = [&](int64_t row) {  // the kernel rows that a row of outputs sees
    return inside(row * a.stride_height - a.pad_top, a.dilation_height, a.kernel_height, a.input_height, 1);
  };
  gradient_walk<T> g = {};
  g.output_width = a.output_width;
  g.stride = a.stride_width;
  g.dilation = a.dilation_width;
  g.width = a.input_width;
  g.x_row = a.stride_height * a.input_row;
  g.x_pixel = a.stride_width * a.input_column;
  g.tap_row = a.dilation_height * a.input_row;
  g.tap_column = a.dilation_width * a.input_column;
  g.d_pixel = a.gradient_pixel;
  const T* d = static_cast<const T*>(a.gradient);
  for (int64_t pixel = a.first, row = pixel / a.output_width; pixel < a.last; pixel += g.pixels, d += g.pixels * a.gradient_pixel) {
    const int64_t top = row * a.stride_height - a.pad_top;
    const tap_range rows = rows_at(row);
    tap_range next = rows;
    g.column = pixel - row * a.output_width;
    while (next.first == rows.first && next.end == rows.end && row * a.output_width < a.last) next = rows_at(++row);
    g.pixels = (row * a.output_width < a.last ? row * a.output_width : a.last) - pixel;
    for (int64_t group = 0; group < groups; ++group) {  // even groups
      const int64_t first = group * a.kernel_width / groups, wide = (group + 1) * a.kernel_width / groups - first;
      g.left = first * a.dilation_width - a.pad_left;
      g.inner = steps_to(g.left, a.stride_width);
      g.outer = steps_to(g.left + (wide - 1) * a.dilation_width - a.input_width, a.stride_width);
      const int64_t count = rows.end - rows.first;
      const int64_t most = most_gradient_sums < most_gradient_rows * wide ? most_gradient_sums / wide : most_gradient_rows;
      const int64_t row_groups = (count + most - 1) / most;
      for (int64_t upper = 0; upper < row_groups; ++upper) {
        const int64_t i = rows.first + upper * count / row_groups, high = rows.first + (upper + 1) * count / row_groups - i;
        const T* const x = static_cast<const T*>(a.input) + (top + i * a.dilation_height) * a.input_row + g.left * a.input_column;
        const auto sums_at = [&](int64_t c) {
          return sums + (c / block_channels<T> * taps + i * a.kernel_width + first) * block_channels<T> + c % block_channels<T>;
        };
        unroll<most_gradient_rows * most_gradient_taps<T>>::run([&](auto n) {
          constexpr int Rows = decltype(n)::value / most_gradient_taps<T> + 1, Taps = decltype(n)::value % most_gradient_taps<T> + 1;
          if constexpr (Rows * Taps <= most_gradient_sums)
            if (high == Rows && wide == Taps)
              for (int64_t c = 0; c < a.channels; c += gradient_vectors * lanes<T>) {
                g.x = x + c;
                g.d = d + c;
                gradient_taps<T, Rows, Taps>(g, sums_at(c), a.kernel_width * block_channels<T>);
              }
        });
      }
    }
  }
}

}  // namespace SEPCONV_ISA
}  // namespace sepconv
