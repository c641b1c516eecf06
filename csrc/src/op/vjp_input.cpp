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

// The positions of a phase among these inputs.
range positions(const phase& p, int64_t stride, range inputs) {
  const auto before = [&](int64_t input) {  // positions below `input`
    return std::clamp<int64_t>(ceil_div(input - p.first, stride), 0, p.count);
  };
  return {before(inputs.first), std::max(before(inputs.first), before(inputs.last))};
}

}  // namespace

template <class T>
void input_gradient(const vjp_task& t, const slab& s, const channel_group& c, const T* row_gradients, ptrdiff_t row_step, int32_t worker) {
  const sepconv_vjp& v = *t.v;
  const geometry& g = t.geo();
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const ptrdiff_t element = static_cast<ptrdiff_t>(element_size(g.dtype));
  const int64_t blocks = v.groups * v.width / v.block, needed = s.needed.last - s.needed.first;
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
  const range all = v.axis == 1 ? s.input : range{0, g.input[2]};  // columns
  const ptrdiff_t line_step = g.stride[0] * v.gradient_step[1], stride = g.stride[1];
  const bool straight = v.storage == v.sums && v.multiplier == 1 && v.repeats == 1 && v.gradient_step[3] == 1;
  for (const phase& y : v.phases[0]) {
    const range rows = positions(y, g.stride[0], v.axis == 0 ? s.input : range{0, g.input[1]});
    const int64_t height = rows.last - rows.first;
    if (height == 0) continue;
    char* const to = static_cast<char*>(t.gradients.input) +
                     (s.image * v.gradient_step[0] + c.first * v.gradient_step[3] +
                      (y.first + rows.first * g.stride[0]) * v.gradient_step[1]) * element;
    // Positions [first, last) of rows of the phases y and x, to `out`.
    const auto filter = [&](const phase& x, int64_t m, int64_t first, int64_t last, int64_t channels, T* out, ptrdiff_t pixel) {
      const range columns = positions(x, stride, all);
      const int64_t taps = y.taps * x.taps;
      if (taps == 0) {
        for (int64_t p = first; p < last; ++p, out += pixel) std::fill_n(out, channels, T(0));
        return;
      }
      const T* const from = row_gradients + m * a.input_height * a.input_row;
      a.kernel_height = y.taps;
      a.kernel_width = x.taps;
      a.pad_top = y.pad - rows.first + (v.axis == 0 ? s.needed.first : 0);
      a.pad_left = x.pad - columns.first + (v.axis == 1 ? s.needed.first : 0);
      a.output_width = columns.last - columns.first;
      a.input = from;
      a.end = from + a.input_height * a.input_row;
      a.weights = t.shared<T>(v.reversed) + reversed_at(v, y, x) + (c.first + m * blocks * v.block) * taps;
      a.first = first;
      a.last = last;
      a.channels = channels;
      a.output = out;
      a.output_pixel = pixel;
      v.sums->filter_channels(&a);
    };
    if (straight) {  // to where it belongs
      for (const phase& x : v.phases[1]) {
        const range columns = positions(x, stride, all);
        const int64_t width = columns.last - columns.first, pixels = height * width, column_step = stride * v.gradient_step[2];
        const int64_t run = line_step == width * column_step ? pixels : width;
        a.pixels_ahead = pixels_ahead(column_step, sizeof(T));
        T* const out = reinterpret_cast<T*>(to) + (x.first + columns.first * stride) * v.gradient_step[2];
        for (int64_t first = 0; first < pixels; first += run)
          filter(x, 0, first, first + run, c.count, out + first / width * line_step, column_step);
      }
    } else {  // by way of a tile, where the phases of a row are woven, and rows without them joined
      const int64_t width = all.last - all.first, lines = stride > 1 ? height : 1, length = stride > 1 ? width : height * width;
      const bool joined = line_step == width * v.gradient_step[2];
      for (int64_t line = 0; line < lines; ++line)
        for (int64_t first = 0; first < length; first += v.chunk) {
          const int64_t last = std::min(first + v.chunk, length), count = last - first;
          for (int64_t m = 0; m < v.multiplier; ++m) {
            T* const out = m ? second : tile;
            if (stride == 1) filter(v.phases[1][0], m, first, last, c.padded, out, v.width);
            for (int64_t i = 0; stride > 1 && i < std::min<int64_t>(stride, count); ++i) {
              const phase& x = v.phases[1][static_cast<std::size_t>((all.first + first + i) % stride)];
              const range columns = positions(x, stride, all), here = positions(x, stride, {all.first + first, all.first + last});
              const int64_t at = line * (columns.last - columns.first) - columns.first;
              filter(x, m, at + here.first, at + here.last, c.padded, out + i * v.width, stride * v.width);
            }
            if (m) v.sums->accumulate(second, count * v.width, tile);
          }
          if (v.repeats > 1) add_repeats(v, count, tile);
          for (int64_t p = 0; p < count;) {
            const int64_t row = (first + p) / width, column = first + p - row * width;
            const int64_t run = joined ? count : std::min(width - column, count - p);
            v.storage->store_tile(tile + p * v.width, v.width, run, c.count / v.repeats,
                                  to + ((line + row) * line_step + (all.first + column) * v.gradient_step[2]) * element,
                                  v.gradient_step[2], v.gradient_step[3]);
            p += run;
          }
        }
    }
  }
}

template void input_gradient<float>(const vjp_task&, const slab&, const channel_group&, const float*, ptrdiff_t, int32_t);
template void input_gradient<double>(const vjp_task&, const slab&, const channel_group&, const double*, ptrdiff_t, int32_t);

}  // namespace sepconv
