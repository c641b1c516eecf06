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

// 16-bit storage is widened once for all taps: the window's channels from a.input on, to scratch, which then is the input.
template <class T>
void widen(const task& t, const scratch& s, const window& w, filter_channels_args& a) {
  const geometry& g = t.geo();
  const int64_t columns = w.last[1] - w.first[1], pixel = a.channels;
  const ptrdiff_t element = static_cast<ptrdiff_t>(element_size(g.dtype));
  T* target = reinterpret_cast<T*>(s.planes);
  for (int64_t row = w.first[0]; row < w.last[0]; ++row, target += columns * pixel) {
    const char* source = static_cast<const char*>(a.input) + (row * g.input_step[1] + w.first[1] * g.input_step[2]) * element;
    if (g.input_step[2] == pixel)
      t.kernels().copy_lines(source, 0, 1, 1, columns * pixel, target, 0);
    else
      t.kernels().copy_lines(source, g.input_step[2], 1, columns, pixel, target, pixel);
  }
  a.input_row = columns * pixel;
  a.input_column = pixel;
  a.input = reinterpret_cast<T*>(s.planes) - w.first[0] * a.input_row - w.first[1] * pixel;
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
  for (int64_t c = c0; c < c1; c += t.sched().channel_group) {
    a.channels = std::min(t.sched().channel_group, c1 - c);
    a.input = t.input + (p.image * g.input_step[0] + c) * element;
    if (t.sched().widens) widen<T>(t, s, read, a);
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

template void gather_channels<float>(const task&, const scratch&, const piece&, int64_t, int64_t);
template void gather_channels<double>(const task&, const scratch&, const piece&, int64_t, int64_t);

}  // namespace sepconv
