#include <algorithm>

#include "op/task.hpp"

namespace sepconv {

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

template void gather_channels<float>(const task&, const scratch&, const piece&, int64_t, int64_t);
template void gather_channels<double>(const task&, const scratch&, const piece&, int64_t, int64_t);

}  // namespace sepconv
