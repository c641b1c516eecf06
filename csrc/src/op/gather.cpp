// Step 1: depthwise rows of a tile. Two ways to read, by what the lanes run over; two layouts to write, by what multiplies.
#include <algorithm>
#include <cstring>

#include "op/task.hpp"

namespace sepconv {
namespace {

// The piece of a tile that lies in one image.
struct piece {
  int64_t image;
  int64_t first, last;  // pixels of the image
  int64_t at;           // of the tile, where it begins
};

template <class F>
void for_each_image(const geometry& g, pixel_range pixels, F&& body) {
  for (int64_t q = pixels.first; q < pixels.last;) {
    const int64_t image = q / g.image_pixels, start = image * g.image_pixels;
    const int64_t end = std::min(pixels.last, start + g.image_pixels);
    body(piece{image, q - start, end - start, q - pixels.first});
    q = end;
  }
}

// Lanes over channels: straight from the input.
template <class T>
void gather_channels(const task& t, const scratch& s, const piece& p, int64_t c0, int64_t c1) {
  const geometry& g = t.geo();
  constexpr int64_t block = block_channels<T>;
  const int64_t blocks = (g.channels() + block - 1) / block;
  const ptrdiff_t element = static_cast<ptrdiff_t>(element_size(g.dtype));
  filter_channels_args a = {};
  a.input_row = g.input_step[1];
  a.input_column = g.input_step[2];
  a.input_height = g.input[1];
  a.input_width = g.input[2];
  a.kernel_height = g.kernel[0];
  a.kernel_width = g.kernel[1];
  a.stride_height = g.stride[0];
  a.stride_width = g.stride[1];
  a.dilation_height = g.dilation[0];
  a.dilation_width = g.dilation[1];
  a.pad_top = g.pad_before[0];
  a.pad_left = g.pad_before[1];
  a.output_width = g.output[2];
  a.lo = t.depthwise.lo;
  a.hi = t.depthwise.hi;
  for (int64_t m = 0; m < g.multiplier; ++m)
    for (int64_t c = c0; c < c1; c += t.sched().channel_group) {
      const int64_t at = m * blocks + c / block;
      a.channels = std::min(t.sched().channel_group, c1 - c);
      a.input = t.input + (p.image * g.input_step[0] + c) * element;
      a.weights = static_cast<const T*>(t.pack->blocked) + at * g.taps * block;
      a.bias = static_cast<const T*>(t.pack->blocked_bias) + at * block;
      a.first = p.first;
      a.last = p.last;
      if (!t.sched().direct) {
        a.output_block = t.sched().pitch * block;
        a.output_pixel = block;
        a.output = reinterpret_cast<T*>(s.rows) + at * a.output_block + p.at * block;
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

// The input rows that a piece needs of one channel, laid out with their padding as lines of T: one line an input row (or, where
// rows are far apart, one a pair of output row and tap row), in it one phase each remainder of column by stride, so that the taps of
// neighbouring outputs are neighbours.
template <class T>
class line_buffer {
 public:
  line_buffer(const task& t, const scratch& s, const piece& p) : t_(t), g_(t.geo()), piece_(p) {
    lines_ = reinterpret_cast<T*>(s.lines);
    taps_ = s.offsets;
    columns_ = s.offsets + g_.taps;
    const int64_t width = g_.output[2];
    row0_ = p.first / width;
    row1_ = (p.last - 1) / width;
    const bool one_row = row0_ == row1_;
    x0_ = one_row ? p.first - row0_ * width : 0;
    x1_ = one_row ? p.last - row0_ * width : width;
    first_input_row_ = row0_ * g_.stride[0] - g_.pad_before[0];
    const int64_t extent = (row1_ - row0_) * g_.stride[0] + (g_.kernel[0] - 1) * g_.dilation[0] + 1;
    shared_ = extent <= (row1_ - row0_ + 1) * g_.kernel[0];
    slots_ = shared_ ? extent : (row1_ - row0_ + 1) * g_.kernel[0];
    // Phases in order of first use by a tap.
    phases_ = 0;
    for (int64_t j = 0; j < g_.kernel[1]; ++j) {
      const int64_t same = first_with_remainder_of(j);
      const int64_t phase = same < j ? columns_[same] / t.sched().line_pitch : phases_++;
      columns_[j] = phase * t.sched().line_pitch + j * g_.dilation[1] / g_.stride[1];
    }
  }

  void fill(const char* channel) {
    const int64_t pitch = t_.sched().line_pitch;
    for (int64_t slot = 0; slot < slots_; ++slot) {
      const int64_t row = input_row(slot);
      if (row < 0 || row >= g_.input[1]) continue;  // never read
      const char* source = channel + row * g_.input_step[1] * element();
      for (int64_t j = 0; j < g_.kernel[1]; ++j) {
        const int64_t phase = columns_[j] / pitch;
        if (first_with_remainder_of(j) == j) fill_phase(source, remainder(j), lines_ + (slot * phases_ + phase) * pitch);
      }
    }
  }

  // Rows of taps inside the image for an output row; their offsets are then ready.
  pixel_range rows(int64_t output_row) {
    const int64_t top = output_row * g_.stride[0] - g_.pad_before[0];
    int64_t first = 0, end = g_.kernel[0];
    while (first < end && top + first * g_.dilation[0] < 0) ++first;
    while (end > first && top + (end - 1) * g_.dilation[0] >= g_.input[1]) --end;
    for (int64_t i = first; i < end; ++i) {
      const int64_t slot =
          shared_ ? top + i * g_.dilation[0] - first_input_row_ : (output_row - row0_) * g_.kernel[0] + i;
      for (int64_t j = 0; j < g_.kernel[1]; ++j)
        taps_[i * g_.kernel[1] + j] = slot * phases_ * t_.sched().line_pitch + columns_[j];
    }
    return {first, end};
  }

  const T* lines() const { return lines_; }
  int64_t x0() const { return x0_; }
  int64_t row0() const { return row0_; }
  int64_t row1() const { return row1_; }

 private:
  ptrdiff_t element() const { return static_cast<ptrdiff_t>(element_size(g_.dtype)); }
  int64_t remainder(int64_t j) const { return j * g_.dilation[1] % g_.stride[1]; }

  // The first tap that shares the phase of tap j.
  int64_t first_with_remainder_of(int64_t j) const {
    int64_t i = 0;
    while (remainder(i) != remainder(j)) ++i;
    return i;
  }

  int64_t input_row(int64_t slot) const {
    if (shared_) return first_input_row_ + slot;
    return first_input_row_ + slot / g_.kernel[0] * g_.stride[0] + slot % g_.kernel[0] * g_.dilation[0];
  }

  // line[q] = input column (x0 + q) * stride + remainder - pad, or 0 outside.
  void fill_phase(const char* source, int64_t remainder, T* line) {
    const int64_t stride = g_.stride[1];
    const int64_t count = x1_ - x0_ + (g_.kernel[1] - 1) * g_.dilation[1] / stride;
    const int64_t start = x0_ * stride + remainder - g_.pad_before[1];
    const int64_t begin = std::clamp<int64_t>(start >= 0 ? 0 : (-start + stride - 1) / stride, 0, count);
    const int64_t end =
        std::clamp<int64_t>(start < g_.input[2] ? (g_.input[2] - 1 - start) / stride + 1 : 0, begin, count);
    std::memset(static_cast<void*>(line), 0, static_cast<std::size_t>(begin) * sizeof(T));
    if (end > begin)
      t_.kernels().copy_line(source + (start + begin * stride) * g_.input_step[2] * element(), stride * g_.input_step[2],
                             end - begin, line + begin);
    std::memset(static_cast<void*>(line + end), 0, static_cast<std::size_t>(count - end) * sizeof(T));
  }

  const task& t_;
  const geometry& g_;
  const piece piece_;
  T* lines_;
  ptrdiff_t *taps_, *columns_;
  int64_t row0_, row1_, x0_, x1_, first_input_row_, slots_, phases_;
  bool shared_;
};

// Lanes over pixels: one channel at a time, through lines.
template <class T>
void gather_pixels(const task& t, const scratch& s, const piece& p, int64_t c0, int64_t c1) {
  const geometry& g = t.geo();
  constexpr int64_t block = block_channels<T>;
  const int64_t blocks = (g.channels() + block - 1) / block;
  const ptrdiff_t element = static_cast<ptrdiff_t>(element_size(g.dtype));
  const bool blocked = t.sched().multiply == multiply_lanes::filters;
  const int64_t pitch = t.sched().pitch, width = g.output[2];
  line_buffer<T> buffer(t, s, p);
  filter_line_args a = {};
  a.input = buffer.lines();
  a.offsets = s.offsets;
  a.lo = t.depthwise.lo;
  a.hi = t.depthwise.hi;
  // The channel outside would copy lines once for all multipliers, but blocks of rows need neighbouring channels together.
  for (int64_t m = 0; m < g.multiplier; ++m)
    for (int64_t c = c0; c < c1; ++c) {
      const int64_t k = m * g.channels() + c;
      buffer.fill(t.input + (p.image * g.input_step[0] + c * g.input_step[3]) * element);
      a.bias = static_cast<double>(static_cast<const T*>(t.pack->planar_bias)[k]);
      T* row = blocked ? reinterpret_cast<T*>(s.planes) + c % block * pitch : reinterpret_cast<T*>(s.rows) + k * pitch;
      for (int64_t y = buffer.row0(); y <= buffer.row1(); ++y) {
        const int64_t first = std::max(p.first, y * width), last = std::min(p.last, (y + 1) * width);
        const pixel_range taps = buffer.rows(y);
        a.offsets = s.offsets + taps.first * g.kernel[1];
        a.taps = (taps.last - taps.first) * g.kernel[1];
        a.weights = static_cast<const T*>(t.pack->planar) + k * g.taps + taps.first * g.kernel[1];
        a.input = buffer.lines() + (first - y * width - buffer.x0());
        a.count = last - first;
        if (t.sched().direct)
          a.output = reinterpret_cast<T*>(t.output) + place(g, p.image * g.image_pixels + first).offset +
                     (c * g.multiplier + m) * g.output_step[3];
        else
          a.output = row + p.at + first - p.first;
        t.kernels().filter_line(&a);
      }
      const bool block_ends = c % block == block - 1 || c + 1 == c1;
      if (blocked && block_ends)  // [channel][pixel] -> [pixel][channel]
        t.kernels().move_tile(reinterpret_cast<T*>(s.planes) + p.at, pitch, c % block + 1, p.last - p.first,
                              reinterpret_cast<T*>(s.rows) + ((m * blocks + c / block) * pitch + p.at) * block, 1, block);
    }
}

}  // namespace

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

template <class T>
void gather(const task& t, const scratch& s, pixel_range pixels, int64_t c0, int64_t c1) {
  for_each_image(t.geo(), pixels, [&](const piece& p) {
    if (t.sched().gather == gather_lanes::channels)
      gather_channels<T>(t, s, p, c0, c1);
    else
      gather_pixels<T>(t, s, p, c0, c1);
  });
}

template void gather<float>(const task&, const scratch&, pixel_range, int64_t, int64_t);
template void gather<double>(const task&, const scratch&, pixel_range, int64_t, int64_t);

}  // namespace sepconv
