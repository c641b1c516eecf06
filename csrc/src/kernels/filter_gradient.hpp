// The gradient of a depthwise kernel, with lanes over channels: each tap sums input times output gradient over a run of output pixels,
// in raster order, one accumulator a tap and channel. What lies outside the image is left out.
//
// Up to four taps of a kernel row and two vectors of channels go at a time, or all nine of a 3x3 kernel and one vector; their sums stay in
// registers along a row.
#pragma once

#include "kernels/filter_blocks.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

#if SEPCONV_ISA_NUMBER == 1  // for the size of its code
constexpr int most_gradient_taps = 1, most_gradient_vectors = 1;
#else
constexpr int most_gradient_taps = 4, most_gradient_vectors = 2;
#endif

// One row of outputs, seen by a group of taps of one kernel row, or of several.
template <class T>
struct gradient_row {
  const T* x;          // input row of the first kernel row, column 0, first channel
  ptrdiff_t x_row;     // elements, from one kernel row to the next
  ptrdiff_t x_column;  // elements
  const T* d;          // gradient of the first output of the run
  ptrdiff_t d_pixel;
  int64_t left, stride, dilation;  // input column of the group's first tap at the run's first output
  int64_t width, count;            // of the input row; outputs
};

// sums: [kernel row][tap][lane], `sums_row` from one kernel row to the next.
template <class T, int Rows, int Taps, int Vectors>
static void gradient_taps(const gradient_row<T>& g, T* sums, ptrdiff_t sums_row) {
  vec<T> sum[Rows * Taps][Vectors];
  const auto each = [&](auto&& visit) {
    unroll<Rows * Taps>::run([&](auto t) {
      unroll<Vectors>::run([&](auto v) {
        constexpr int row = decltype(t)::value / Taps, tap = decltype(t)::value % Taps;
        visit(sum[decltype(t)::value][decltype(v)::value],
              sums + row * sums_row + tap * block_channels<T> + decltype(v)::value * lanes<T>);
      });
    });
  };
  each([](vec<T>& s, const T* at) { s = load(at); });
  // The outputs whose taps all lie inside the row lie between the two edges.
  const int64_t last = g.left + (Taps - 1) * g.dilation;  // column of the last tap at the first output
  int64_t inner = -g.left + g.stride - 1, end = g.width - 1 - last + g.stride;
  if (g.stride > 1) inner /= g.stride, end /= g.stride;
  if (g.left >= 0) inner = 0;
  if (last >= g.width) end = 0;
  if (inner > g.count) inner = g.count;
  if (end > g.count) end = g.count;
  if (end < inner) end = inner;
  const ptrdiff_t tap_step = g.dilation * g.x_column;
  const auto pixel = [&](int64_t p, auto whole) __attribute__((always_inline)) {  // or the sums live in memory
    const int64_t column = g.left + p * g.stride;
    const T* d = g.d + p * g.d_pixel;
    vec<T> gradient[Vectors];
    unroll<Vectors>::run([&](auto v) { gradient[decltype(v)::value] = load(d + decltype(v)::value * lanes<T>); });
    unroll<Taps>::run([&](auto t) {
      constexpr int tap = decltype(t)::value;
      const int64_t at = column + tap * g.dilation;
      if (!decltype(whole)::value && (at < 0 || at >= g.width)) return;
      const T* x = g.x + column * g.x_column + tap * tap_step;
      unroll<Rows>::run([&](auto r) {
        unroll<Vectors>::run([&](auto v) {
          vec<T>& s = sum[decltype(r)::value * Taps + tap][decltype(v)::value];
          s = fma(load(x + decltype(r)::value * g.x_row + decltype(v)::value * lanes<T>), gradient[decltype(v)::value], s);
        });
      });
    });
  };
  int64_t p = 0;
  for (; p < inner; ++p) pixel(p, index<0>{});
  for (; p < end; ++p) pixel(p, index<1>{});
  for (; p < g.count; ++p) pixel(p, index<0>{});
  each([](vec<T>& s, T* at) { store(at, s); });
}

// All taps of one kernel row, and a block of channels. sums: [tap][lane].
template <class T>
static void gradient_block(const filter_gradient_args& a, gradient_row<T> g, T* sums) {
  constexpr int vectors = block_channels<T> / lanes<T>, most = vectors < most_gradient_vectors ? vectors : most_gradient_vectors;
  const int64_t groups = (a.kernel_width + most_gradient_taps - 1) / most_gradient_taps, left = g.left;
  for (int v = 0; v < vectors; v += most)
    for (int64_t i = 0; i < groups; ++i) {  // even groups
      const int64_t first = i * a.kernel_width / groups, taps = (i + 1) * a.kernel_width / groups - first;
      gradient_row<T> here = g;
      here.x = g.x + v * lanes<T>;
      here.d = g.d + v * lanes<T>;
      here.left = left + first * g.dilation;
      T* s = sums + first * block_channels<T> + v * lanes<T>;
      unroll<most_gradient_taps>::run([&](auto t) {
        if (taps == decltype(t)::value + 1) gradient_taps<T, 1, decltype(t)::value + 1, most>(here, s, 0);
      });
    }
}

template <class T>
static void filter_gradient(const filter_gradient_args* args) {
  const filter_gradient_args& a = *args;
  gradient_row<T> g = {};
  g.x_column = a.input_column;
  g.d_pixel = a.gradient_pixel;
  g.stride = a.stride_width;
  g.dilation = a.dilation_width;
  g.width = a.input_width;
  const T* d = static_cast<const T*>(a.gradient);
  for (int64_t pixel = a.first; pixel < a.last; pixel += g.count, d += g.count * a.gradient_pixel) {
    const int64_t row = pixel / a.output_width, column = pixel - row * a.output_width;
    g.count = a.last - pixel < a.output_width - column ? a.last - pixel : a.output_width - column;
    g.left = column * a.stride_width - a.pad_left;
    const int64_t top = row * a.stride_height - a.pad_top;
    const tap_range rows = inside(top, a.dilation_height, a.kernel_height, a.input_height, 1);
    g.x_row = a.dilation_height * a.input_row;
#if SEPCONV_ISA_NUMBER != 1
    if (a.kernel_width == 3 && rows.end - rows.first == 3 && a.kernel_height == 3) {
      for (int64_t c = 0; c < a.channels; c += lanes<T>) {
        g.x = static_cast<const T*>(a.input) + top * a.input_row + c;
        g.d = d + c;
        gradient_taps<T, 3, 3, 1>(g, static_cast<T*>(a.sums) + c / block_channels<T> * 9 * block_channels<T> + c % block_channels<T>,
                                  3 * block_channels<T>);
      }
      continue;
    }
#endif
    for (int64_t i = rows.first; i < rows.end; ++i)
      for (int64_t c = 0; c < a.channels; c += block_channels<T>) {
        g.x = static_cast<const T*>(a.input) + (top + i * a.dilation_height) * a.input_row + c;
        g.d = d + c;
        gradient_block<T>(a, g,
                          static_cast<T*>(a.sums) + (c * a.kernel_height + i * block_channels<T>) * a.kernel_width);
      }
  }
}

}  // namespace SEPCONV_ISA
}  // namespace sepconv
