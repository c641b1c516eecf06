// The input's gradient: for each phase of inputs a filter without stride over the gradients of rows.
#include <algorithm>
#include <limits>

#include "op/vjp_task.hpp"

namespace sepconv {
namespace {

// Adds what belongs to one channel, in order.
template <class T>
void add_repeats(const sepconv_vjp& v, int64_t pixels, T* rows) {
  for (int64_t p = 0; p < pixels; ++p, rows += v.width) {
    const T* x = rows;
    for (int64_t c = 0; c < v.geometry.channels(); ++c) {
      T sum = *x++;
      for (int64_t m = 1; m < v.repeats; ++m) sum += *x++;
      rows[c] = sum;
    }
  }
}

// The positions of a phase that a slab owns.
range owned(const sepconv_vjp& v, int axis, const phase& p, const slab& s) {
  if (axis != v.axis) return {0, p.count};
  const int64_t stride = v.geometry.stride[axis];
  const auto before = [&](int64_t input) {  // positions below `input`
    return std::clamp<int64_t>(ceil_div(input - p.first, stride), 0, p.count);
  };
  return {before(s.input.first), std::max(before(s.input.first), before(s.input.last))};
}

}  // namespace

template <class T>
void input_gradient(const vjp_task& t, const slab& s, const channel_group& c, const T* row_gradients, ptrdiff_t row_step, int32_t worker) {
  const sepconv_vjp& v = *t.v;
  const geometry& g = t.geo();
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const ptrdiff_t element = static_cast<ptrdiff_t>(element_size(g.dtype));
  const int64_t blocks = v.groups * v.width / v.block, needed = s.needed.last - s.needed.first;
  const T* weights = t.shared<T>(v.reversed);
  T* tile = t.of_worker<T>(v.tile, worker);
  T* second = t.of_worker<T>(v.second, worker);
  filter_channels_args a = {};
  a.input_column = row_step;
  a.input_height = v.axis == 0 ? needed : g.output[1];
  a.input_width = v.axis == 1 ? needed : g.output[2];
  a.input_row = a.input_width * row_step;
  a.stride_height = a.stride_width = 1;
  a.dilation_height = v.phase_dilation[0];
  a.dilation_width = v.phase_dilation[1];
  a.bias = t.shared<T>(v.zeros);
  a.lo = -infinity;
  a.hi = infinity;
  a.output_block = v.block;
  for (const phase& y : v.phases[0])
    for (const phase& x : v.phases[1]) {
      const int64_t taps = y.taps * x.taps;
      const T* of_phase = weights + c.first * taps;
      weights += taps * v.groups * v.width * v.multiplier;
      const range rows = owned(v, 0, y, s), columns = owned(v, 1, x, s);
      const int64_t width = columns.last - columns.first, pixels = (rows.last - rows.first) * width;
      if (pixels == 0) continue;
      a.kernel_height = y.taps;
      a.kernel_width = x.taps;
      a.pad_top = y.pad - rows.first + (v.axis == 0 ? s.needed.first : 0);
      a.pad_left = x.pad - columns.first + (v.axis == 1 ? s.needed.first : 0);
      a.output_width = width;
      const ptrdiff_t line_step = g.stride[0] * v.gradient_step[1], column_step = g.stride[1] * v.gradient_step[2];
      char* const to = static_cast<char*>(t.gradients.input) +
                       (s.image * v.gradient_step[0] + c.first * v.gradient_step[3] +
                        (y.first + rows.first * g.stride[0]) * v.gradient_step[1] +
                        (x.first + columns.first * g.stride[1]) * v.gradient_step[2]) * element;
      const auto filter = [&](int64_t m, int64_t first, int64_t last, int64_t channels, T* out, ptrdiff_t pixel) {
        const T* const from = row_gradients + m * a.input_height * a.input_row;
        a.input = from;
        a.end = from + a.input_height * a.input_row;
        a.weights = of_phase + m * blocks * taps * v.block;
        a.first = first;
        a.last = last;
        a.channels = channels;
        a.output = out;
        a.output_pixel = pixel;
        v.sums->filter_channels(&a);
      };
      const bool straight = v.storage == v.sums && v.multiplier == 1 && v.repeats == 1 && v.gradient_step[3] == 1;
      if (straight && taps > 0) {  // to where it belongs
        const bool even = line_step == width * column_step;
        const int64_t run = even ? pixels : width;
        for (int64_t first = 0; first < pixels; first += run)
          filter(0, first, first + run, c.count, reinterpret_cast<T*>(to) + first / width * line_step, column_step);
        continue;
      }
      for (int64_t first = 0; first < pixels; first += v.chunk) {
        const int64_t last = std::min(first + v.chunk, pixels), count = (last - first) * v.width;
        if (taps == 0) std::fill(tile, tile + count, T(0));
        for (int64_t m = 0; taps > 0 && m < v.multiplier; ++m) {
          filter(m, first, last, c.padded, m ? second : tile, v.width);
          if (m) v.sums->accumulate(second, count, tile);
        }
        if (v.repeats > 1) add_repeats(v, last - first, tile);
        for (int64_t p = first; p < last;) {
          const int64_t row = p / width, column = p - row * width, here = std::min(width - column, last - p);
          v.storage->store_tile(tile + (p - first) * v.width, v.width, here, c.count / v.repeats,
                                to + (row * line_step + column * column_step) * element, column_step, v.gradient_step[3]);
          p += here;
        }
      }
    }
}

template void input_gradient<float>(const vjp_task&, const slab&, const channel_group&, const float*, ptrdiff_t, int32_t);
template void input_gradient<double>(const vjp_task&, const slab&, const channel_group&, const double*, ptrdiff_t, int32_t);

}  // namespace sepconv
