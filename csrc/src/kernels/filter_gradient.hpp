// The gradient of a depthwise kernel, with lanes over channels: each tap sums input times output gradient over a run of output pixels,
// in raster order, one accumulator a tap and channel. What lies outside the image is left out.
//
// Up to four taps of a kernel row and two vectors of channels go at a time, and their sums stay in registers along a row.
#pragma once

#include "kernels/filter_blocks.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

// One row of outputs, seen by a group of taps of one kernel row.
template <class T>
struct gradient_row {
  const T* x;          // input row, column 0, first channel
  ptrdiff_t x_column;  // elements
  const T* d;          // gradient of the first output of the run
  ptrdiff_t d_pixel;
  int64_t left, stride, dilation;  // input column of the group's first tap at the run's first output
  int64_t width, count;            // of the input row; outputs
};

template <class T, int Taps, int Vectors>
void gradient_taps(const gradient_row<T>& g, T* sums) {
  vec<T> sum[Taps][Vectors];
  unroll<Taps>::run([&](auto t) {
    unroll<Vectors>::run([&](auto v) {
      sum[decltype(t)::value][decltype(v)::value] =
          load(sums + decltype(t)::value * block_channels<T> + decltype(v)::value * lanes<T>);
    });
  });
  // The outputs whose taps all lie inside the row lie between the two edges.
  const int64_t last = g.left + (Taps - 1) * g.dilation;  // column of the last tap at the first output
  int64_t inner = g.left >= 0 ? 0 : (-g.left + g.stride - 1) / g.stride;
  if (inner > g.count) inner = g.count;
  int64_t end = last < g.width ? (g.width - 1 - last) / g.stride + 1 : 0;
  if (end > g.count) end = g.count;
  if (end < inner) end = inner;
  const auto edge = [&](int64_t from, int64_t to) {
    for (int64_t p = from; p < to; ++p) {
      const int64_t column = g.left + p * g.stride;
      vec<T> d[Vectors];
      unroll<Vectors>::run([&](auto v) { d[decltype(v)::value] = load(g.d + p * g.d_pixel + decltype(v)::value * lanes<T>); });
      unroll<Taps>::run([&](auto t) {
        const int64_t at = column + decltype(t)::value * g.dilation;
        if (at < 0 || at >= g.width) return;
        unroll<Vectors>::run([&](auto v) {
          vec<T>& s = sum[decltype(t)::value][decltype(v)::value];
          s = fma(load(g.x + at * g.x_column + decltype(v)::value * lanes<T>), d[decltype(v)::value], s);
        });
      });
    }
  };
  edge(0, inner);
  if (inner < end) {
    const ptrdiff_t step = g.stride * g.x_column, tap = g.dilation * g.x_column;
    const T* x = g.x + (g.left + inner * g.stride) * g.x_column;
    const T* d = g.d + inner * g.d_pixel;
    for (int64_t p = inner; p < end; ++p, x += step, d += g.d_pixel) {
      vec<T> gradient[Vectors];
      unroll<Vectors>::run([&](auto v) { gradient[decltype(v)::value] = load(d + decltype(v)::value * lanes<T>); });
      unroll<Taps>::run([&](auto t) {
        unroll<Vectors>::run([&](auto v) {
          vec<T>& s = sum[decltype(t)::value][decltype(v)::value];
          s = fma(load(x + decltype(t)::value * tap + decltype(v)::value * lanes<T>), gradient[decltype(v)::value], s);
        });
      });
    }
  }
  edge(end, g.count);
  unroll<Taps>::run([&](auto t) {
    unroll<Vectors>::run([&](auto v) {
      store(sums + decltype(t)::value * block_channels<T> + decltype(v)::value * lanes<T>,
            sum[decltype(t)::value][decltype(v)::value]);
    });
  });
}

// All taps of one kernel row, and a block of channels. sums: [tap][lane].
template <class T>
void gradient_block(const filter_gradient_args& a, gradient_row<T> g, T* sums) {
  constexpr int vectors = block_channels<T> / lanes<T>, most = vectors < 2 ? 1 : 2;
  const int64_t groups = (a.kernel_width + 3) / 4, left = g.left;
  for (int v = 0; v < vectors; v += most)
    for (int64_t i = 0; i < groups; ++i) {  // even groups
      const int64_t first = i * a.kernel_width / groups, taps = (i + 1) * a.kernel_width / groups - first;
      gradient_row<T> here = g;
      here.x = g.x + v * lanes<T>;
      here.d = g.d + v * lanes<T>;
      here.left = left + first * g.dilation;
      T* s = sums + first * block_channels<T> + v * lanes<T>;
      unroll<4>::run([&](auto t) {
        if (taps == decltype(t)::value + 1) gradient_taps<T, decltype(t)::value + 1, most>(here, s);
      });
    }
}

template <class T>
void filter_gradient(const filter_gradient_args* args) {
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
