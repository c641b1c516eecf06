// The gather with lanes over outputs in the order of memory: a bare depthwise convolution with several filters a channel, or few channels.
// The input of a piece is copied first, padded, its pixels next to one another.
#include <algorithm>
#include <cstring>

#include "op/task.hpp"
#include "plan/planes.hpp"

namespace sepconv {

template <class T>
void gather_outputs(const task& t, const scratch& s, const piece& p) {
  const geometry& g = t.geo();
  const int64_t width = g.output[2], row0 = p.first / width, rows = (p.last - 1) / width + 1 - row0;
  const int64_t column0 = rows == 1 ? p.first - row0 * width : 0, columns = rows == 1 ? p.last - p.first : width;
  const line_layout lines = make_lines(g, rows, columns);
  T* const data = reinterpret_cast<T*>(s.planes);
  const std::size_t size = static_cast<std::size_t>(lines.elements() + block_channels<T>) * sizeof(T);  // fits: checked in make_schedule
  std::memset(static_cast<void*>(data), 0, size);
  const int64_t top = row0 * g.stride[0] - g.pad_before[0], left = column0 * g.stride[1] - g.pad_before[1];
  const int64_t y0 = std::clamp<int64_t>(top, 0, g.input[1]), y1 = std::clamp<int64_t>(top + lines.rows, y0, g.input[1]);
  const int64_t x0 = std::clamp<int64_t>(left, 0, g.input[2]), x1 = std::clamp<int64_t>(left + lines.columns, x0, g.input[2]);
  const ptrdiff_t element = static_cast<ptrdiff_t>(element_size(g.dtype));
  const char* source = t.input + (p.image * g.input_step[0] + y0 * g.input_step[1] + x0 * g.input_step[2]) * element;
  T* target = data + (y0 - top) * lines.pitch + (x0 - left) * g.channels();
  if (g.input_step[2] == g.channels())
    t.kernels().copy_lines(source, g.input_step[1], 1, y1 - y0, (x1 - x0) * g.channels(), target, lines.pitch);
  else
    for (int64_t y = y0; y < y1; ++y, source += g.input_step[1] * element, target += lines.pitch)
      t.kernels().copy_lines(source, g.input_step[2], 1, x1 - x0, g.channels(), target, g.channels());

  for (int64_t i = 0; i < g.kernel[0]; ++i)
    for (int64_t j = 0; j < g.kernel[1]; ++j)
      s.offsets[i * g.kernel[1] + j] = i * g.dilation[0] * lines.pitch + j * g.dilation[1] * g.channels();
  filter_outputs_args a = {};
  a.offsets = s.offsets;
  a.taps = g.taps;
  a.weights = t.pack->outputs;
  a.weights_row = g.depth + block_channels<T>;
  a.bias = t.pack->outputs_bias;
  a.channels = g.channels();
  a.multiplier = g.multiplier;
  a.lo = t.depthwise.lo;
  a.hi = t.depthwise.hi;
  a.input_pixel = g.stride[1] * g.channels();
  a.input_row = g.stride[0] * lines.pitch;
  a.patch = g.kernel == pair{3, 3} && g.stride[0] == 1 && g.dilation[0] == 1;
  const bool direct = t.sched().direct;
  for (int64_t pixel = p.first; pixel < p.last;) {  // the rest of a row, whole rows, the beginning of one
    const int64_t row = pixel / width, column = pixel - row * width;
    a.count = std::min(width - column, p.last - pixel);
    a.rows = a.count == width ? (p.last - pixel) / width : 1;
    a.input = data + (row - row0) * a.input_row + (column - column0) * a.input_pixel;
    a.output_row = direct ? g.output_step[1] : width * g.depth;
    a.output = direct ? reinterpret_cast<T*>(t.output) + place(g, p.image * g.image_pixels + pixel).offset
                      : reinterpret_cast<T*>(s.rows) + (p.at + pixel - p.first) * g.depth;
    t.kernels().filter_outputs(&a);
    pixel += a.rows * a.count;
  }
}

template void gather_outputs<float>(const task&, const scratch&, const piece&);
template void gather_outputs<double>(const task&, const scratch&, const piece&);

}  // namespace sepconv
