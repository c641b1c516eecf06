#include <algorithm>

#include "op/task.hpp"

namespace sepconv {

namespace {

// The part of the input that a piece reads, rows and columns [first, last).
struct window {
  int64_t first[2], last[2];

  window(const geometry& g, const piece& p) {
    const int64_t width = g.output[2], from[2] = {p.first / width, p.first % width}, to[2] = {(p.last - 1) / width, (p.last - 1) % width};
    for (int i = 0; i < 2; ++i) {
      const bool whole = i == 1 && from[0] != to[0];  // more than one row: all columns
      const int64_t start = (whole ? 0 : from[i]) * g.stride[i] - g.pad_before[i];
      const int64_t end = (whole ? width - 1 : to[i]) * g.stride[i] - g.pad_before[i] + (g.kernel[i] - 1) * g.dilation[i] + 1;
      first[i] = std::clamp<int64_t>(start, 0, g.input[i + 1]);
      last[i] = std::clamp<int64_t>(end, first[i], g.input[i + 1]);
    }
  }
};

// The window's channels from a.input on, to `target` as [row][column][step], which then is the input. `lines` as in load_pixels.
template <class T>
void copy_window(const task& t, const window& w, T* target, ptrdiff_t step, T* lines, filter_channels_args& a) {
  const geometry& g = t.geo();
  const int64_t columns = w.last[1] - w.first[1];
  const ptrdiff_t element = static_cast<ptrdiff_t>(element_size(g.dtype));
  a.input_row = columns * step;
  a.input_column = step;
  const char* source = static_cast<const char*>(a.input) + (w.first[0] * g.input_step[1] + w.first[1] * g.input_step[2]) * element;
  a.input = target - w.first[0] * a.input_row - w.first[1] * step;
  const bool join = g.input_step[1] == columns * g.input_step[2];  // rows, into one
  const int64_t rows = w.last[0] - w.first[0], each = join ? rows * columns : columns;
  for (int64_t row = 0; row < rows; row += join ? rows : 1, source += g.input_step[1] * element, target += each * step)
    load_pixels(t.kernels(), t.sums(), {source, g.input_step[2], g.input_step[3]}, each, a.channels, target, step, lines);
  a.end = target + block_channels<T>;
}

}  // namespace

// Lanes over channels: straight from the input.
template <class T>
void gather_channels(const task& t, const scratch& s, const piece& p, int64_t c0, int64_t c1) {
  const geometry& g = t.geo();
  constexpr int64_t block = block_channels<T>;
  const int64_t blocks = ceil_div(g.channels(), block);
  const ptrdiff_t element = static_cast<ptrdiff_t>(element_size(g.dtype));
  const window read(g, p);
  filter_channels_args a = {};
  static_cast<tap_geometry&>(a) = taps_of(g, nullptr);
  a.lo = t.depthwise.lo;
  a.hi = t.depthwise.hi;
  a.end = t.input + input_end(g) * element;
  a.fetches_input = t.sched().fetches_input;
  a.pixels_ahead = t.sched().pixels_ahead;
  for (int64_t c = c0; c < c1; c += t.sched().channel_group) {
    a.channels = std::min(t.sched().channel_group, c1 - c);
    a.input = t.input + (p.image * g.input_step[0] + c * g.input_step[3]) * element;
    if (t.sched().copies_input) {
      T* const copy = reinterpret_cast<T*>(s.planes);
      const int64_t pixels = (read.last[0] - read.first[0]) * (read.last[1] - read.first[1]);
      copy_window<T>(t, read, copy, a.channels, copy + pixels * a.channels + block, a);
    }
    for (int64_t m = 0; m < g.multiplier; ++m) {
      const int64_t at = m * blocks + c / block;
      a.weights = static_cast<const T*>(t.pack->blocked) + at * g.taps * block;
      a.bias = static_cast<const T*>(t.pack->blocked_bias) + at * block;
      a.first = p.first;
      a.last = p.last;
      if (!t.sched().direct) {
        a.output_padded = !t.sched().flat;
        a.output_block = t.sched().flat ? block : t.sched().pitch * block;
        a.output_pixel = t.sched().flat ? g.channels() : block;
        a.output = reinterpret_cast<T*>(s.rows) + (t.sched().flat ? p.at * g.channels() + c : at * a.output_block + p.at * block);
        t.kernels().filter_channels(&a);
        continue;
      }
      a.output_block = block;
      a.output_pixel = g.output_step[2];
      while (a.first < p.last) {  // pieces of the output whose pixels are evenly spaced
        const pixel_place to = place(g, p.image * g.image_pixels + a.first);
        a.last = std::min(p.last, a.first + to.run);
        a.output = reinterpret_cast<T*>(t.output) + to.offset + c;
        t.kernels().filter_channels(&a);
        a.first = a.last;
      }
    }
  }
}

// Lanes over channels for planes of pixels: a block of channels at a time is transposed to scratch, and its rows to planes.
template <class T>
void gather_turned(const task& t, const scratch& s, const piece& p, int64_t c0, int64_t c1) {
  const geometry& g = t.geo();
  constexpr int64_t block = block_channels<T>;
  const int64_t blocks = ceil_div(g.channels(), block), count = p.last - p.first;
  const ptrdiff_t element = static_cast<ptrdiff_t>(element_size(g.dtype));
  const window read(g, p);
  T* const copy = reinterpret_cast<T*>(s.planes);
  T* const rows = copy + ((read.last[0] - read.first[0]) * (read.last[1] - read.first[1]) + 1) * block;
  const bool direct = t.sched().direct;
  const ptrdiff_t plane = direct ? g.output_step[3] : t.sched().pitch;
  const int64_t between = g.multiplies() ? 1 : g.multiplier;  // planes of one filter
  filter_channels_args a = {};
  for (int64_t c = c0; c < c1; c += block) {
    static_cast<tap_geometry&>(a) = taps_of(g, t.input + (p.image * g.input_step[0] + c * g.input_step[3]) * element);
    a.lo = t.depthwise.lo;
    a.hi = t.depthwise.hi;
    a.first = p.first;
    a.last = p.last;
    a.channels = std::min(block, c1 - c);
    a.output = rows;
    a.output_block = a.output_pixel = block;
    a.output_padded = true;
    copy_window<T>(t, read, copy, block, rows + count * block, a);
    for (int64_t m = 0; m < g.multiplier; ++m) {
      const int64_t at = m * blocks + c / block, k = g.multiplies() ? m * g.channels() + c : c * g.multiplier + m;
      a.weights = static_cast<const T*>(t.pack->blocked) + at * g.taps * block;
      a.bias = static_cast<const T*>(t.pack->blocked_bias) + at * block;
      t.kernels().filter_channels(&a);
      for (int64_t q = 0, run; q < count; q += run) {
        const pixel_place to = direct ? place(g, p.image * g.image_pixels + p.first + q) : pixel_place{p.at + q, count};
        run = std::min(to.run, count - q);
        T* const target = reinterpret_cast<T*>(direct ? t.output : s.rows) + to.offset + k * plane;
        t.sums().move_tile(rows + q * block, block, run, a.channels, target, direct ? g.output_step[2] : 1, between * plane);
      }
    }
  }
}

template void gather_turned<float>(const task&, const scratch&, const piece&, int64_t, int64_t);
template void gather_turned<double>(const task&, const scratch&, const piece&, int64_t, int64_t);

template void gather_channels<float>(const task&, const scratch&, const piece&, int64_t, int64_t);
template void gather_channels<double>(const task&, const scratch&, const piece&, int64_t, int64_t);

}  // namespace sepconv
