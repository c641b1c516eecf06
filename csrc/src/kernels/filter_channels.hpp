// Depthwise filter with lanes over channels: channels_last input, a block of pixels of one output row in registers, taps in
// ascending order, one accumulator an output.
#pragma once

#include "simd/simd.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

// Taps [row, row + rows) x [column, column + columns) of the kernel touch the image.
struct tap_window {
  int64_t rows, columns;
  ptrdiff_t input_row, input_column;  // steps of the input between taps
  ptrdiff_t weight_row;               // step of the weights between rows of taps
};

template <class S, class T, int Pixels, bool Whole>
SEPCONV_INLINE void filter_block(const S* x, ptrdiff_t step, const tap_window& taps, const T* w, vec<T> bias, vec<T> lo, vec<T> hi,
                                 T* y, ptrdiff_t y_step, int64_t count) {
  vec<T> sum[Pixels] = {};
  for (int64_t i = 0; i < taps.rows; ++i) {
    const S* xi = x + i * taps.input_row;
    const T* wi = w + i * taps.weight_row;
    // Hides the row's address: otherwise all of them are hoisted out of the channel loop and spilled.
    asm("" : "+r"(xi));
    for (int64_t j = 0; j < taps.columns; ++j, xi += taps.input_column, wi += block_channels<T>) {
      const vec<T> weight = load(wi);
      unroll<Pixels>::run([&](auto p) {
        const S* xp = xi + decltype(p)::value * step;
        const vec<T> value = Whole ? load_as(xp) : load_as_partial(xp, count);
        sum[decltype(p)::value] = fma(value, weight, sum[decltype(p)::value]);
      });
    }
  }
  unroll<Pixels>::run([&](auto p) {
    const vec<T> out = clamp<T>(sum[decltype(p)::value] + bias, lo, hi);
    T* yp = y + decltype(p)::value * y_step;
    if (Whole)
      store(yp, out);
    else
      store_partial(yp, out, count);
  });
}

// One block of pixels, all channels.
template <class S, class T, int Pixels>
void filter_pixels(const filter_channels_args& g, const S* x, const tap_window& taps, ptrdiff_t first_tap, T* y) {
  const int64_t all_taps = g.kernel_height * g.kernel_width;
  const ptrdiff_t step = g.stride_width * g.input_column;
  const vec<T> lo = broadcast(static_cast<T>(g.lo)), hi = broadcast(static_cast<T>(g.hi));
  for (int64_t c = 0; c < g.channels; c += lanes<T>) {
    const int64_t block = c / block_channels<T>, lane = c % block_channels<T>;
    const T* w = static_cast<const T*>(g.weights) + (block * all_taps + first_tap) * block_channels<T> + lane;
    const vec<T> bias = load(static_cast<const T*>(g.bias) + c);
    T* target = y + block * g.output_block + lane;
    const int64_t count = g.channels - c;
    if (count >= lanes<T>)
      filter_block<S, T, Pixels, true>(x + c, step, taps, w, bias, lo, hi, target, g.output_pixel, 0);
    else
      filter_block<S, T, Pixels, false>(x + c, step, taps, w, bias, lo, hi, target, g.output_pixel, count);
  }
}

// The taps k of an axis for which start + k * dilation lies in [0, size): [first, first + count).
struct tap_range {
  int64_t first, count;
};

SEPCONV_INLINE tap_range inside(int64_t start, int64_t dilation, int64_t kernel, int64_t size) {
  int64_t first = start >= 0 ? 0 : (-start + dilation - 1) / dilation;
  int64_t end = size > start ? (size - start + dilation - 1) / dilation : 0;
  if (first > kernel) first = kernel;
  if (end > kernel) end = kernel;
  return {first, end > first ? end - first : 0};
}

template <class S, class T>
void filter_channels(const filter_channels_args* args) {
  typedef void (*block_fn)(const filter_channels_args&, const S*, const tap_window&, ptrdiff_t, T*);
  static constexpr int64_t most = 8;
  static constexpr block_fn blocks[most + 1] = {nullptr,
                                                filter_pixels<S, T, 1>,
                                                filter_pixels<S, T, 2>,
                                                filter_pixels<S, T, 3>,
                                                filter_pixels<S, T, 4>,
                                                filter_pixels<S, T, 5>,
                                                filter_pixels<S, T, 6>,
                                                filter_pixels<S, T, 7>,
                                                filter_pixels<S, T, 8>};
  const filter_channels_args& g = *args;
  const S* input = static_cast<const S*>(g.input);
  T* y = static_cast<T*>(g.output);
  for (int64_t pixel = g.first; pixel < g.last;) {
    const int64_t row = pixel / g.output_width;
    int64_t column = pixel - row * g.output_width;
    const int64_t end = g.last - pixel < g.output_width - column ? column + g.last - pixel : g.output_width;
    pixel += end - column;
    const int64_t top = row * g.stride_height - g.pad_top;
    const tap_range rows = inside(top, g.dilation_height, g.kernel_height, g.input_height);
    while (column < end) {
      const int64_t left = column * g.stride_width - g.pad_left;
      const tap_range columns = inside(left, g.dilation_width, g.kernel_width, g.input_width);
      int64_t run = 1;
      if (columns.count == g.kernel_width) {  // as many as have all their columns inside, in blocks of even size
        const int64_t room = g.input_width - 1 - (g.kernel_width - 1) * g.dilation_width - left;
        run = room / g.stride_width + 1;
        if (run > end - column) run = end - column;
        const int64_t pieces = (run + most - 1) / most;
        run = (run + pieces - 1) / pieces;
      }
      const tap_window taps = {rows.count, columns.count, g.dilation_height * g.input_row, g.dilation_width * g.input_column,
                               g.kernel_width * block_channels<T>};
      const S* x = input + (top + rows.first * g.dilation_height) * g.input_row +
                   (left + columns.first * g.dilation_width) * g.input_column;
      if (rows.count == 0 || columns.count == 0) x = input;  // no tap reads; keeps the pointer inside the tensor
      blocks[run](g, x, taps, rows.first * g.kernel_width + columns.first, y);
      y += run * g.output_pixel;
      column += run;
    }
  }
}

}  // namespace SEPCONV_ISA
}  // namespace sepconv
