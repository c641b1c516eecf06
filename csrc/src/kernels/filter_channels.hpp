// Depthwise filter with lanes over channels: channels_last input, a block of pixels of one output row in registers, taps in
// ascending order, one accumulator an output.
//
// Two bodies. `slide` is for the commonest kernels, without dilation: the row's weights stay in registers and each input vector is
// loaded once, for all outputs that it reaches; an image's edge is a range of input columns. `filter_block` is for every other
// geometry and for the last channels of a tail: weight loaded once a tap, input as operand of the multiply-add.
#pragma once

#include "simd/simd.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

// What a block of output pixels reads: taps [row, row + rows) of the kernel, and the part of its input columns inside the image.
struct tap_window {
  int64_t rows, columns;
  ptrdiff_t input_row, input_column;  // steps of the input between taps
  ptrdiff_t weight_row;               // step of the weights between rows of taps
  int64_t first_column, end_column;   // of the block's input columns, for `slide`
};

template <class S, class T, bool Whole>
SEPCONV_INLINE vec<T> load_channels(const S* x, int64_t count) {
  return Whole ? load_as(x) : load_as_partial(x, count);
}

template <class T, int Pixels, bool Whole>
SEPCONV_INLINE void store_pixels(const vec<T> (&sum)[Pixels], vec<T> bias, vec<T> lo, vec<T> hi, T* y, ptrdiff_t step,
                                 int64_t count) {
  unroll<Pixels>::run([&](auto p) {
    const vec<T> out = clamp<T>(sum[decltype(p)::value] + bias, lo, hi);
    T* target = y + decltype(p)::value * step;
    if (Whole)
      store(target, out);
    else
      store_partial(target, out, count);
  });
}

template <int Width, int Stride, bool Inside>
struct slide {
  static constexpr bool tails = false;
  template <class S, class T, int Pixels, bool>
  static SEPCONV_INLINE void run(const S* x, ptrdiff_t, const tap_window& taps, const T* w, vec<T> (&sum)[Pixels], int64_t) {
    constexpr int columns = (Pixels - 1) * Stride + Width;
    for (int64_t i = 0; i < taps.rows; ++i, x += taps.input_row, w += taps.weight_row) {
      vec<T> weight[Width];
      unroll<Width>::run([&](auto j) { weight[decltype(j)::value] = load(w + decltype(j)::value * block_channels<T>); });
      const S* column = x;
      unroll<columns>::run([&](auto q) {
        constexpr int at = decltype(q)::value;
        if (Inside || (at >= taps.first_column && at < taps.end_column)) {
          const vec<T> value = load_as(column);
          unroll<Width>::run([&](auto r) {  // from the last tap to the first: outputs ascending, each output's taps ascending
            constexpr int j = Width - 1 - decltype(r)::value;
            constexpr int p = (at - j) / Stride;
            if constexpr (at >= j && (at - j) % Stride == 0 && p < Pixels) sum[p] = fma(value, weight[j], sum[p]);
          });
        }
        column += taps.input_column;
      });
    }
  }
};

struct filter_block {
  static constexpr bool tails = true;
  template <class S, class T, int Pixels, bool Whole>
  static SEPCONV_INLINE void run(const S* x, ptrdiff_t step, const tap_window& taps, const T* w, vec<T> (&sum)[Pixels],
                                 int64_t count) {
    for (int64_t i = 0; i < taps.rows; ++i) {
      const S* xi = x + i * taps.input_row;
      const T* wi = w + i * taps.weight_row;
      for (int64_t j = 0; j < taps.columns; ++j, xi += taps.input_column, wi += block_channels<T>) {
        const vec<T> weight = load(wi);
        unroll<Pixels>::run([&](auto p) {
          const vec<T> value = load_channels<S, T, Whole>(xi + decltype(p)::value * step, count);
          sum[decltype(p)::value] = fma(value, weight, sum[decltype(p)::value]);
        });
      }
    }
  }
};

// One block of pixels, all channels.
template <class S, class T, class Body, int Pixels>
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
    vec<T> sum[Pixels] = {};
    if (!Body::tails || count >= lanes<T>) {
      Body::template run<S, T, Pixels, true>(x + c, step, taps, w, sum, 0);
      store_pixels<T, Pixels, true>(sum, bias, lo, hi, target, g.output_pixel, 0);
    } else if constexpr (Body::tails) {
      Body::template run<S, T, Pixels, false>(x + c, step, taps, w, sum, count);
      store_pixels<T, Pixels, false>(sum, bias, lo, hi, target, g.output_pixel, count);
    }
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

constexpr int most_pixels = 8;  // of a block

template <class S, class T>
using block_fn = void (*)(const filter_channels_args&, const S*, const tap_window&, ptrdiff_t, T*);

// A body's instances by number of pixels.
template <class S, class T, class Body>
SEPCONV_INLINE block_fn<S, T> block_of(int64_t pixels) {
  static constexpr block_fn<S, T> table[most_pixels] = {
      filter_pixels<S, T, Body, 1>, filter_pixels<S, T, Body, 2>, filter_pixels<S, T, Body, 3>, filter_pixels<S, T, Body, 4>,
      filter_pixels<S, T, Body, 5>, filter_pixels<S, T, Body, 6>, filter_pixels<S, T, Body, 7>, filter_pixels<S, T, Body, 8>};
  return table[pixels - 1];
}

// Blocks of even size.
SEPCONV_INLINE int64_t even_block(int64_t pixels, int64_t most) {
  const int64_t pieces = (pixels + most - 1) / most;
  return (pixels + pieces - 1) / pieces;
}

// Output pixels [column, end) of a row whose input begins at `top`.
template <class S, class T>
struct output_row {
  int64_t column, end;
  int64_t top;
  tap_range rows;
  T* y;
};

template <class S, class T>
void filter_row(const filter_channels_args& g, output_row<S, T> r) {
  const S* input = static_cast<const S*>(g.input);
  while (r.column < r.end) {
    const int64_t left = r.column * g.stride_width - g.pad_left;
    const tap_range columns = inside(left, g.dilation_width, g.kernel_width, g.input_width);
    int64_t run = 1;
    if (columns.count == g.kernel_width) {  // as many as have all their columns inside
      const int64_t room = g.input_width - 1 - (g.kernel_width - 1) * g.dilation_width - left;
      run = room / g.stride_width + 1;
      run = even_block(run < r.end - r.column ? run : r.end - r.column, most_pixels);
    }
    const tap_window taps = {r.rows.count, columns.count, g.dilation_height * g.input_row, g.dilation_width * g.input_column,
                             g.kernel_width * block_channels<T>, 0, 0};
    const S* x = input;  // where no tap reads, the pointer stays inside the tensor
    if (r.rows.count > 0 && columns.count > 0)
      x += (r.top + r.rows.first * g.dilation_height) * g.input_row + (left + columns.first * g.dilation_width) * g.input_column;
    block_of<S, T, filter_block>(run)(g, x, taps, r.rows.first * g.kernel_width + columns.first, r.y);
    r.y += run * g.output_pixel;
    r.column += run;
  }
}

template <class S, class T, int Width, int Stride>
void slide_row(const filter_channels_args& g, output_row<S, T> r) {
  const S* input = static_cast<const S*>(g.input) + (r.top + r.rows.first * g.dilation_height) * g.input_row;
  while (r.column < r.end) {
    const int64_t run = even_block(r.end - r.column, most_pixels);
    const int64_t left = r.column * Stride - g.pad_left, columns = (run - 1) * Stride + Width;
    const int64_t first = left < 0 ? -left : 0, end = g.input_width - left < columns ? g.input_width - left : columns;
    const tap_window taps = {r.rows.count, Width, g.dilation_height * g.input_row, g.input_column,
                             Width * block_channels<T>, first, end};
    const bool within = first == 0 && end == columns;
    (within ? block_of<S, T, slide<Width, Stride, true>>(run) : block_of<S, T, slide<Width, Stride, false>>(run))(
        g, input + left * g.input_column, taps, r.rows.first * Width, r.y);
    r.y += run * g.output_pixel;
    r.column += run;
  }
}

template <class S, class T>
using row_fn = void (*)(const filter_channels_args&, output_row<S, T>);

// The row's body for whole vectors of channels. 16-bit storage and the baseline have only the general one, for the size of their code.
template <class S, class T>
row_fn<S, T> row_of(const filter_channels_args& g) {
#if SEPCONV_ISA_NUMBER != 1
  if constexpr (sizeof(S) == sizeof(T)) {
    if (g.dilation_width == 1 && g.kernel_width == 3 && g.stride_width == 1) return slide_row<S, T, 3, 1>;
    if (g.dilation_width == 1 && g.kernel_width == 3 && g.stride_width == 2) return slide_row<S, T, 3, 2>;
    if (g.dilation_width == 1 && g.kernel_width == 5 && g.stride_width == 1) return slide_row<S, T, 5, 1>;
  }
#endif
  (void)g;
  return filter_row<S, T>;
}

template <class S, class T>
void filter_rows(const filter_channels_args& g, row_fn<S, T> run) {
  T* y = static_cast<T*>(g.output);
  for (int64_t pixel = g.first; pixel < g.last;) {
    const int64_t row = pixel / g.output_width, column = pixel - row * g.output_width;
    const int64_t end = g.last - pixel < g.output_width - column ? column + g.last - pixel : g.output_width;
    const int64_t top = row * g.stride_height - g.pad_top;
    run(g, {column, end, top, inside(top, g.dilation_height, g.kernel_height, g.input_height), y});
    y += (end - column) * g.output_pixel;
    pixel += end - column;
  }
}

template <class S, class T>
void filter_channels(const filter_channels_args* args) {
  const row_fn<S, T> run = row_of<S, T>(*args);
  const int64_t tail = run == filter_row<S, T> ? 0 : args->channels % lanes<T>;
  filter_channels_args g = *args;
  g.channels -= tail;
  if (g.channels > 0) filter_rows<S, T>(g, run);
  if (tail == 0) return;
  const int64_t c = g.channels, block = c / block_channels<T>, lane = c % block_channels<T>;
  g.input = static_cast<const S*>(g.input) + c;
  g.weights = static_cast<const T*>(g.weights) + block * g.kernel_height * g.kernel_width * block_channels<T> + lane;
  g.bias = static_cast<const T*>(g.bias) + c;
  g.output = static_cast<T*>(g.output) + block * g.output_block + lane;
  g.channels = tail;
  filter_rows<S, T>(g, filter_row<S, T>);
}

}  // namespace SEPCONV_ISA
}  // namespace sepconv
