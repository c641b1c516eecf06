// Step 1: depthwise rows of a tile, by lanes over channels or over pixels.
#include <algorithm>

#include "op/task.hpp"

namespace sepconv {

tap_geometry taps_of(const geometry& g, const void* input) {
  tap_geometry t = {};
  t.input = input;
  t.input_row = g.input_step[1];
  t.input_column = g.input_step[2];
  t.input_height = g.input[1];
  t.input_width = g.input[2];
  t.kernel_height = g.kernel[0];
  t.kernel_width = g.kernel[1];
  t.stride_height = g.stride[0];
  t.stride_width = g.stride[1];
  t.dilation_height = g.dilation[0];
  t.dilation_width = g.dilation[1];
  t.pad_top = g.pad_before[0];
  t.pad_left = g.pad_before[1];
  t.output_width = g.output[2];
  return t;
}

pixel_place place(const geometry& g, int64_t q) {
  const int64_t image = q / g.image_pixels, pixel = q - image * g.image_pixels;
  const int64_t row = pixel / g.output[2], column = pixel - row * g.output[2];
  pixel_place p;
  p.offset = image * g.output_step[0] + row * g.output_step[1] + column * g.output_step[2];
  const bool rows_join = g.output[1] == 1 || g.output_step[1] == g.output[2] * g.output_step[2];
  const bool images_join = rows_join && (g.batch() == 1 || g.output_step[0] == g.image_pixels * g.output_step[2]);
  p.run = images_join ? g.pixels - q : rows_join ? g.image_pixels - pixel : g.output[2] - column;
  return p;
}

ptrdiff_t input_pixel(const geometry& g, int64_t q) {
  const int64_t image = q / g.image_pixels, pixel = q - image * g.image_pixels;
  const int64_t row = pixel / g.output[2], column = pixel - row * g.output[2];
  return image * g.input_step[0] + row * g.stride[0] * g.input_step[1] + column * g.stride[1] * g.input_step[2];
}

template <class T>
void load_pixels(const kernel_set& storage, const kernel_set& sums, const pixel_source& from, int64_t pixels, int64_t channels, T* to,
                 ptrdiff_t step, T* lines) {
  const bool dense = from.channel == 1 && from.pixel == channels && step == channels;
  if (dense) return storage.copy_lines(from.first, 0, 1, 1, pixels * channels, to, 0);
  if (channels == 1 || from.channel == 1 || from.pixel != 1)
    return storage.copy_lines(from.first, from.pixel, from.channel, pixels, channels, to, step);
  // Pixels next to one another: a transpose, of what is widened before if storage has 16 bits.
  if (&storage == &sums) return sums.move_tile(from.first, from.channel, channels, pixels, to, 1, step);
  constexpr ptrdiff_t element = 2;
  for (int64_t p = 0; p < pixels; p += 64) {
    const int64_t count = std::min<int64_t>(64, pixels - p);
    storage.copy_lines(from.first + p * element, from.channel, 1, channels, count, lines, 64);
    sums.move_tile(lines, 64, channels, count, to + p * step, 1, step);
  }
}

template void load_pixels<float>(const kernel_set&, const kernel_set&, const pixel_source&, int64_t, int64_t, float*, ptrdiff_t, float*);
template void load_pixels<double>(const kernel_set&, const kernel_set&, const pixel_source&, int64_t, int64_t, double*, ptrdiff_t, double*);

// Of a 1x1 convolution: pixels as they are, to planes or blocks.
template <class T>
static void copy_pixels(const task& t, const scratch& s, const piece& p, int64_t c0, int64_t c1) {
  const geometry& g = t.geo();
  const int64_t block = t.sched().gather == gather_lanes::pixels ? 1 : block_channels<T>, plane = t.sched().pitch * block;
  const ptrdiff_t element = static_cast<ptrdiff_t>(element_size(g.dtype)), pixel = g.input_step[2];
  const ptrdiff_t channel = g.channels() > 1 ? g.input_step[3] : 0;  // a single one's step is anything
  const bool joined = g.stride[0] * g.input_step[1] == g.output[2] * pixel;  // rows, into one
  for (int64_t q = p.first, run; q < p.last; q += run) {
    run = joined ? p.last - q : std::min(p.last - q, g.output[2] - q % g.output[2]);
    const char* from = t.input + (input_pixel(g, p.image * g.image_pixels + q) + c0 * channel) * element;
    T* to = reinterpret_cast<T*>(s.rows) + c0 / block * plane + (p.at + q - p.first) * block;
    if (block == 1) t.kernels().copy_lines(from, channel, pixel, c1 - c0, run, to, plane);
    for (int64_t c = c0; block > 1 && c < c1; c += block, from += block * channel * element, to += plane)
      load_pixels(t.kernels(), t.sums(), {from, pixel, channel}, run, std::min(block, c1 - c), to, block, reinterpret_cast<T*>(s.planes));
  }
}

template <class T>
void gather(const task& t, const scratch& s, pixel_range pixels, int64_t c0, int64_t c1) {
  const geometry& g = t.geo();
  for (int64_t q = pixels.first; q < pixels.last;) {
    const int64_t image = q / g.image_pixels, start = image * g.image_pixels;
    int64_t end = std::min(pixels.last, start + g.image_pixels);
    // A tile shorter than a row may cross into the next one: a row at a time, so that what is copied stays as narrow as the tile.
    if ((t.sched().gather != gather_lanes::channels || t.sched().copies_input) && t.sched().tile_pixels < g.output[2])
      end = std::min(end, q + g.output[2] - (q - start) % g.output[2]);
    const piece p = {image, q - start, end - start, q - pixels.first};
    if (t.sched().copies_pixels)
      copy_pixels<T>(t, s, p, c0, c1);
    else if (t.sched().gather == gather_lanes::channels)
      gather_channels<T>(t, s, p, c0, c1);
    else if (t.sched().turns)
      gather_turned<T>(t, s, p, c0, c1);
    else if (t.sched().gather == gather_lanes::pixels)
      gather_pixels<T>(t, s, p, c0, c1);
    else
      gather_outputs<T>(t, s, p);
    q = end;
  }
}

template void gather<float>(const task&, const scratch&, pixel_range, int64_t, int64_t);
template void gather<double>(const task&, const scratch&, pixel_range, int64_t, int64_t);

}  // namespace sepconv
