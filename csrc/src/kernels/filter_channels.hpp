// Depthwise filter with lanes over channels: a block of output pixels in registers, taps in ascending order, one accumulator an output.
// At an image's edge the same code skips the input rows and columns that lie outside.
#pragma once

#include "kernels/filter_blocks.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

// A block of pixels, V vectors of channels from c on. x, weights w and outputs y are theirs.
template <class T, class Body, int V, int Rows, int Columns>
SEPCONV_INLINE void filter_vectors(const filter_channels_args& g, const T* x, const tap_window& taps, const T* w, T* y, int64_t c) {
  const int64_t count = g.channels - c;
  const T* const bias = static_cast<const T*>(g.bias) + c;
  vec<T> sum[Rows][Columns * V] = {};
  const bool whole = V > 1 || count >= lanes<T>, part = V == 1 && (masked_stores_are_free || (!whole && !g.output_padded));
  const int64_t held = whole ? lanes<T> : count;
  if (whole || !Body::partial)
    Body::template run<true, V>(x, taps, w, sum, count);
  else if constexpr (Body::partial)
    Body::template run<false, V>(x, taps, w, sum, count);
  finish_sums<true, T>(g, sum, [&](auto, auto p) __attribute__((always_inline)) { return load(bias + decltype(p)::value % V * lanes<T>); });
  const ptrdiff_t column = taps.output_column, line_step = g.output_width * g.output_pixel;
  constexpr bool full = V == line_vectors && Rows == Body::rows && Columns == Body::columns;
  if (Body::light && full && sizeof(T) == 4 && g.pixels_ahead)
    for (int r = 0; r < Rows; ++r) fetch_columns<Columns>(y + r * line_step + g.pixels_ahead * column, column);
  unroll<Rows>::run([&](auto r) {
    constexpr int row = decltype(r)::value;
    T* line = y + row * line_step;
    unroll<Columns * V>::run([&](auto p) {
      const vec<T> out = sum[row][decltype(p)::value];
      T* const to = line + decltype(p)::value / V * column + decltype(p)::value % V * lanes<T>;
      if (!part)
        store(to, out);
      else
        store_some(to, out, held);
    });
  });
}

// A block of pixels, all channels.
template <class T, class Body, int Rows, int Columns>
static void filter_pixels(const filter_channels_args& g, const T* x, const tap_window& taps, T* y) {
  const T* w = static_cast<const T*>(g.weights) + taps.first_tap * block_channels<T>;
  const ptrdiff_t w_step = g.kernel_height * g.kernel_width * block_channels<T>, y_step = g.output_block;
  for (int64_t c = 0; c < g.channels; w += w_step, y += y_step) {
    if constexpr (Body::vectors > 1)
      if (c + block_channels<T> <= g.channels) {
        filter_vectors<T, Body, Body::vectors, Rows, Columns>(g, x + c, taps, w, y, c);
        c += block_channels<T>;
        continue;
      }
    for (int64_t lane = 0; lane < block_channels<T> && c < g.channels; lane += lanes<T>, c += lanes<T>)
      filter_vectors<T, Body, 1, Rows, Columns>(g, x + c, taps, w + lane, y + lane, c);
  }
}

// A body's instances by number of rows and columns.
template <class T, class Body>
struct blocks_of {
  void (*of[Body::rows][Body::columns])(const filter_channels_args&, const T*, const tap_window&, T*);

  template <int Rows, int Columns>
  constexpr void fill() {
    if constexpr (Rows > 0 && Columns > 0) {
      if constexpr (Columns < Body::fewest)
        of[Rows - 1][Columns - 1] = filter_pixels<T, any_filter<false>, Rows, Columns>;
      else
        of[Rows - 1][Columns - 1] = filter_pixels<T, Body, Rows, Columns>;
      fill<Rows, Columns - 1>();
      if constexpr (Columns == Body::columns) fill<Rows - 1, Columns>();
    }
  }
  static constexpr blocks_of make() {
    blocks_of b = {};
    b.template fill<Body::rows, Body::columns>();
    return b;
  }
};

// `count` in as few pieces of at most `most` as possible: of `size`, the first `longer` of them one longer.
struct even_pieces {
  int64_t size, longer;
};

SEPCONV_INLINE even_pieces cut(int64_t count, int64_t most) {
  const int64_t pieces = (count + most - 1) / most, size = count / pieces;
  return {size, count - size * pieces};
}

// How dilation turns one row into several without: columns a dilation apart, read by outputs a period apart.
struct column_phases {
  int64_t dilation, period, stride;  // of the image's columns, of outputs; of the outputs of one row over its columns
};

[[gnu::noinline]] static column_phases phases_of(const filter_channels_args& g) {
  if (g.dilation_width == 1 || g.kernel_width == 1) return {1, 1, g.stride_width};
  int64_t common = g.dilation_width, rest = g.stride_width;
  while (rest) {
    const int64_t next = common % rest;
    common = rest;
    rest = next;
  }
  const int64_t period = g.dilation_width / common;
  if (period >= g.output_width) return {g.dilation_width, g.output_width, 1};  // an output each, whose stride times dilation may overflow
  return {g.dilation_width, period, g.stride_width / common};
}

// Output pixels [column, end) of `rows` rows from `row` on, to y.
template <class T, template <bool> class Body>
static void filter_rows(const filter_channels_args& g, const column_phases& phases, int64_t row, int64_t rows, int64_t column, int64_t end,
                        T* y) {
  static constexpr auto inner = blocks_of<T, Body<true>>::make();
  static constexpr auto outer = blocks_of<T, Body<false>>::make();
  typedef typename Body<false>::template narrow<T> narrow;
  static constexpr auto few = blocks_of<T, narrow>::make();
  const bool one = g.channels < 2 * lanes<T>;
  const int64_t top = row * g.stride_height - g.pad_top, width = g.kernel_width, stride = phases.stride;
  tap_window taps;
  taps.rows = inside(top, g.dilation_height, g.kernel_height, g.input_height, rows);
  taps.first_tap = Body<true>::rows == 1 ? taps.rows.first * width : 0;
  taps.columns = width;
  taps.input_row = g.dilation_height * g.input_row;
  taps.input_column = phases.dilation * g.input_column;
  taps.output_column = phases.period * g.output_pixel;
  taps.stride = stride;
  taps.fetched = !g.fetches_input ? taps.rows.end : g.dilation_height > 1 ? taps.rows.first : taps.rows.end - g.stride_height;
  const T* input = static_cast<const T*>(g.input) + (top + taps.rows.first * g.dilation_height) * g.input_row;
  // The first column of the first phase, and where its first tap lies among those.
  int64_t start = column * g.stride_width - g.pad_left, phase = 0, whole = g.input_width, longer = 0, next = 0, further = 0;
  if (phases.dilation > 1) {
    next = g.stride_width / phases.dilation;
    further = g.stride_width - next * phases.dilation;
    phase = start % phases.dilation;
    if (phase < 0) phase += phases.dilation;
    start = (start - phase) / phases.dilation;
    whole = g.input_width / phases.dilation;
    longer = g.input_width - whole * phases.dilation;
  }
  for (int64_t first = column; first < end && first < column + phases.period; ++first) {
    const int64_t count = phases.period == 1 ? end - first : (end - first + phases.period - 1) / phases.period;
    const int64_t size = whole + (phase < longer);
    const T* const x = input + phase * g.input_column;
    T* to = y + (first - column) * g.output_pixel;
    // The columns whose taps all lie inside the image lie between the two edges.
    const int64_t first_inner = steps_to(start, stride);
    int64_t end_inner = steps_to(start + width - 1 - size, stride);
    if (end_inner > count) end_inner = count;
    for (int64_t at = 0; at < count;) {
      const bool tests = Body<true>::tests || at < first_inner || at >= end_inner;
      const int64_t stop = !tests ? end_inner : !Body<true>::tests && at < first_inner && first_inner < count ? first_inner : count;
      const auto blocks = !tests ? inner.of[rows - 1] : one ? few.of[rows - 1] : outer.of[rows - 1];
      even_pieces pieces = cut(stop - at, !tests ? Body<true>::columns : one ? narrow::columns : Body<false>::columns);
      for (int64_t run; at < stop; at += run) {
        const int64_t left = start + at * stride, piece = pieces.size + (--pieces.longer >= 0);
        run = piece < stop - at ? piece : stop - at;
        int64_t span;
        const auto look = [&] {
          span = (run - 1) * stride + width;
          taps.lit = inside(left, 1, span, size, 1);
        };
        look();
        // Pixels that see nothing of the image are rare, and taken one by one.
        if (Body<true>::tests && (taps.lit.first >= width || span - taps.lit.end >= width)) run = 1, look();
        taps.bits = span < 64 ? (uint64_t{1} << taps.lit.end) - (uint64_t{1} << taps.lit.first) : 0;
        blocks[run - 1](g, x + left * taps.input_column, taps, to);
        to += run * taps.output_column;
      }
    }
    start += next;
    phase += further;
    if (phase >= phases.dilation) phase -= phases.dilation, ++start;
  }
}

// The pixels first..last in raster order: the rest of a row, whole rows, the beginning of one.
template <class T, template <bool> class Body>
static void filter_image(const filter_channels_args& g) {
  T* y = static_cast<T*>(g.output);
  const column_phases phases = phases_of(g);
  for (int64_t pixel = g.first; pixel < g.last;) {
    const int64_t row = pixel / g.output_width, column = pixel - row * g.output_width;
    const int64_t left = g.last - pixel, whole = left / g.output_width;
    const even_pieces more = column == 0 && whole > 1 && g.dilation_height == 1 ? cut(whole, Body<true>::rows) : even_pieces{1, 0};
    const int64_t rows = more.size + (more.longer > 0);
    const int64_t end = left < g.output_width - column ? column + left : g.output_width;
    filter_rows<T, Body>(g, phases, row, rows, column, end, y);
    const int64_t done = rows > 1 ? rows * g.output_width : end - column;
    y += done * g.output_pixel;
    pixel += done;
  }
}

typedef void (*image_fn)(const filter_channels_args&);

// The body for whole vectors of channels. The baseline has only the general one, for the size of its code.
template <class T>
static image_fn image_of(const filter_channels_args& g) {
#if SEPCONV_ISA_NUMBER != 1
  const int64_t width = g.kernel_width, stride = phases_of(g).stride;
#if SEPCONV_ISA_NUMBER == 2
  if (width == 3 && stride == 1) return filter_image<T, slide<3, 1>::body>;
#else
  if (width == 3 && g.kernel_height == 3 && stride == 1 && g.stride_height == 1) return filter_image<T, patch_3x3::body>;
#endif
  if (sizeof(T) == 4 && width == 4 && stride == 1) return filter_image<T, slide<4, 1>::body>;
  if (width == 3 && stride == 2) return filter_image<T, slide<3, 2>::body>;
  if (width == 5 && stride == 1) return filter_image<T, slide<5, 1>::body>;
  if (width == 5 && stride == 2) return filter_image<T, slide<5, 2>::body>;
  if (width == 7 && stride == 1) return filter_image<T, slide<7, 1>::body>;
#endif
#if SEPCONV_ISA_NUMBER == 3  // 32 registers
  if constexpr (sizeof(T) == 4) {  // for the size of their code
    if (width == 7 && stride == 2) return filter_image<T, slide<7, 2>::body>;
    if (width == 9 && stride == 1) return filter_image<T, slide<9, 1>::body>;
    if (width == 11 && stride == 1) return filter_image<T, slide<11, 1>::body>;
  }
#endif
  (void)g;
  return filter_image<T, any_filter>;
}

// floor(a / b), b > 0
SEPCONV_INLINE int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

// Channels that don't fill the last vector. `run` reads whole ones, what follows a pixel's being the next pixel's; where the array ends
// before, `any_filter` reads no more than there is.
template <class T>
static void filter_ragged(filter_channels_args& g, image_fn run) {
  const int64_t begin = g.first, end = g.last, width = g.output_width;
  T* const y = static_cast<T*>(g.output);
  g.last = begin;
  const auto upto = [&](image_fn body, int64_t last) {
    g.first = g.last;
    if (last <= g.first) return;
    g.last = last < end ? last : end;
    g.output = y + (g.first - begin) * g.output_pixel;
    body(g);
  };
  const int64_t reach = (g.channels + lanes<T> - 1) / lanes<T> * lanes<T>;
  const int64_t room = static_cast<const T*>(g.end) - static_cast<const T*>(g.input) - reach;  // for the beginning of a pixel
  const auto outputs = [](int64_t input, int64_t size, int64_t pad, int64_t span, int64_t stride) {  // that read up to `input`
    return input >= size - 1 ? INT64_MAX : floor_div(input + pad - span, stride) + 1;
  };
  const int64_t last_column = (g.input_width - 1) * g.input_column, row_span = (g.kernel_height - 1) * g.dilation_height;
  const int64_t rows = outputs(floor_div(room - last_column, g.input_row), g.input_height, g.pad_top, row_span, g.stride_height);
  upto(run, rows > end / width ? end : rows * width);
  while (g.last < end) {
    const int64_t row = g.last / width, bottom = row * g.stride_height - g.pad_top + row_span;
    const int64_t lowest = bottom < g.input_height - 1 ? bottom : g.input_height - 1;
    const int64_t columns = outputs(floor_div(room - lowest * g.input_row, g.input_column), g.input_width, g.pad_left,
                                    (g.kernel_width - 1) * g.dilation_width, g.stride_width);
    upto(run, row * width + (columns < width ? columns : width));
    upto(filter_image<T, any_filter>, (row + 1) * width);
  }
}

template <class T>
static void filter_channels(const filter_channels_args* args) {
  const image_fn run = image_of<T>(*args);
  const int64_t tail = run == filter_image<T, any_filter> ? 0 : args->channels % lanes<T>;
  if (tail == 0) return run(*args);  // not a copy of them: vector loads would wait for the stores of the caller, and all before
  filter_channels_args g = *args;
  if (g.end && g.input_row > 0 && g.input_column > 0) return filter_ragged<T>(g, run);
  g.channels -= tail;  // nothing is known of what follows a pixel, as in a reversed image
  if (g.channels > 0) run(g);
  const int64_t c = g.channels, block = c / block_channels<T>, lane = c % block_channels<T>;
  g.input = static_cast<const T*>(g.input) + c;
  g.weights = static_cast<const T*>(g.weights) + block * g.kernel_height * g.kernel_width * block_channels<T> + lane;
  g.bias = static_cast<const T*>(g.bias) + c;
  g.output = static_cast<T*>(g.output) + block * g.output_block + lane;
  g.channels = tail;
  filter_image<T, any_filter>(g);
}

}  // namespace SEPCONV_ISA
}  // namespace sepconv
