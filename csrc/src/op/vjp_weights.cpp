// The first region: weights in the orders that the steps read, and the masked output gradient.
#include <algorithm>
#include <cstring>
#include <limits>

#include "op/task.hpp"
#include "op/vjp_task.hpp"

namespace sepconv {
namespace {

// One value each filter of each channel, or the same for all.
struct filter_steps {
  ptrdiff_t channel, filter;
};

// The values of a group at rows x columns taps, which begin at first_of(row, column), to [multiplier][block][tap][lane].
template <class T, class F>
void pack_blocks(const sepconv_vjp& v, const channel_group& c, int64_t rows, int64_t columns, filter_steps step, T* to, F&& first_of) {
  const int64_t multiplier = v.geometry.multiplier, blocks = v.groups * v.width / v.block;
  for (int64_t m = 0; m < v.multiplier; ++m)
    for (int64_t first = 0; first < v.width; first += v.block) {
      const int64_t count = std::clamp<int64_t>(c.count - first, 0, v.block);
      ptrdiff_t offsets[block_channels<T>];
      bool dense = true;
      for (int64_t i = 0; i < count; ++i) {
        const int64_t k = (c.first + first + i) * v.multiplier + m;
        offsets[i] = k / multiplier * step.channel + k % multiplier * step.filter;
        dense = dense && offsets[i] == offsets[0] + i;
      }
      T* y = to + (m * blocks + (c.first + first) / v.block) * rows * columns * v.block;
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t column = 0; column < columns; ++column, y += v.block) {
          const T* const x = first_of(row, column);
          if (dense && count == block_channels<T>) {
            std::memcpy(y, x + offsets[0], sizeof(T) * block_channels<T>);  // fits: a cache line
            continue;
          }
          for (int64_t i = 0; i < count; ++i) y[i] = x[offsets[i]];
          std::fill(y + count, y + v.block, T(0));
        }
    }
}

}  // namespace

interval interval_of(const sepconv_activation& a) {
  switch (a.kind) {
    case SEPCONV_LINEAR: return {true, false, 0, 0};
    case SEPCONV_RELU: return {true, true, 0, std::numeric_limits<double>::quiet_NaN()};
    case SEPCONV_RELU6: return {true, true, 0, 6};
    case SEPCONV_HARD_TANH: return {true, true, -1, 1};
    default: return {false, false, 0, 0};
  }
}

template <class T>
void pack_group(const vjp_task& t, int64_t group) {
  const sepconv_vjp& v = *t.v;
  const geometry& g = t.geo();
  const channel_group c = group_of(v, group);
  static constexpr T zero = 0, one = 1;
  const T* kernel = static_cast<const T*>(t.weights->depthwise_kernel);
  const T* bias = static_cast<const T*>(t.weights->depthwise_bias);
  const int64_t* const step = t.weights->depthwise_strides;
  const filter_steps of_kernel = kernel ? filter_steps{step[2], step[3]} : filter_steps{0, 0};
  const filter_steps of_bias = bias ? filter_steps{g.multiplier, 1} : filter_steps{0, 0};
  const auto weights = [&](int64_t row, int64_t column) { return kernel ? kernel + row * step[0] + column * step[1] : &one; };
  if (v.needs_rows()) {
    pack_blocks(v, c, g.kernel[0], g.kernel[1], of_kernel, t.shared<T>(v.blocked), weights);
    pack_blocks(v, c, 1, 1, of_bias, t.shared<T>(v.blocked_bias), [&](int64_t, int64_t) { return bias ? bias : &zero; });
  }
  if (v.wants(SEPCONV_GRADIENT_INPUT)) {
    for (const phase& y : v.phases[0])
      for (const phase& x : v.phases[1]) {
        T* const to = t.shared<T>(v.reversed) + reversed_at(v, y, x);
        pack_blocks(v, c, y.taps, x.taps, of_kernel, to, [&](int64_t row, int64_t column) {
          return weights(y.tap + (y.taps - 1 - row) * y.tap_step, x.tap + (x.taps - 1 - column) * x.tap_step);
        });
      }
  }
}

template void pack_group<float>(const vjp_task&, int64_t);
template void pack_group<double>(const vjp_task&, int64_t);

template <class T>
void pack_panels(const vjp_task& t, const channel_group& c, T* to) {
  const sepconv_vjp& v = *t.v;
  const geometry& g = t.geo();
  const T* kernel = static_cast<const T*>(t.weights->pointwise_kernel);
  const int64_t step = t.weights->pointwise_strides[0], row = v.multiplier * step, column = t.weights->pointwise_strides[1];  // fits: an index
  const int64_t widest = filters_tile(*v.sums, c.padded).vectors * v.sums->lanes;
  for (int64_t m = 0; m < v.multiplier; ++m)
    for (int64_t first = 0; first < c.padded; first += widest) {
      const int64_t columns = std::min(widest, c.padded - first), rows = std::min(columns, c.count - first);
      T* y = to + (m * v.width + first) * g.filters();
      if (rows < columns) std::fill(y, y + columns * g.filters(), T(0));
      const T* x = kernel + (c.first + first) * row + m * step;
      if (column == 1)
        v.sums->move_tile(x, row, rows, g.filters(), y, 1, columns);
      else if (row == 1)  // transposed already, as in PyTorch
        v.sums->move_tile(x, column, g.filters(), rows, y, columns, 1);
      else
        for (int64_t f = 0; f < g.filters(); ++f)
          for (int64_t r = 0; r < rows; ++r) y[f * columns + r] = x[f * column + r * row];
    }
}

template void pack_panels<float>(const vjp_task&, const channel_group&, float*);
template void pack_panels<double>(const vjp_task&, const channel_group&, double*);

template <class T>
void mask(const vjp_task& t, int64_t first, int64_t last, T* to, T* sums, int32_t worker) {
  const sepconv_vjp& v = *t.v;
  const geometry& g = t.geo();
  const ptrdiff_t element = static_cast<ptrdiff_t>(element_size(g.dtype)), channel = g.output_step[3], pixel = g.output_step[2];
  const interval slope = interval_of(g.activation);
  const bool straight = slope.simple && channel == 1;
  T* kept = t.of_worker<T>(v.tile, worker);
  T* lines = t.of_worker<T>(v.lines, worker);
  std::fill_n(sums, v.filter_blocks * v.block, T(0));
  for (int64_t q = first; q < last;) {
    const pixel_place from = place(g, q);
    const int64_t count = std::min(last - q, from.run);
    T* y = to + (q - first) * v.block;
    q += count;
    const char* const of = t.kept ? t.kept + from.offset * element : nullptr;
    const char* const d = t.output_gradient + from.offset * element;
    if (straight) {
      const mask_args a = {d, slope.bounded ? of : nullptr, pixel, count, g.filters(), slope.lo, slope.hi, y, v.pitch * v.block, v.block,
                           sums};
      v.storage->mask(&a);
      continue;
    }
    for (int64_t f = 0; f < g.filters(); f += v.block, y += v.pitch * v.block) {
      const int64_t filters = std::min(v.block, g.filters() - f);
      load_pixels(*v.storage, *v.sums, {d + f * channel * element, pixel, channel}, count, filters, y, v.block, lines);
      if (v.last == derivative_source::none) continue;
      load_pixels(*v.storage, *v.sums, {of + f * channel * element, pixel, channel}, count, filters, kept, v.block, lines);
      v.sums->derive(g.activation.kind, g.activation.params, kept, y, static_cast<std::size_t>(count * v.block));  // fits: a chunk
    }
  }
  const bool sums_left = !straight && v.wants(SEPCONV_GRADIENT_BIAS);
  for (int64_t f = 0; sums_left && f < v.filter_blocks; ++f)
    v.sums->sum_pixels(to + f * v.pitch * v.block, v.block, last - first, v.block, sums + f * v.block);
}

template void mask<float>(const vjp_task&, int64_t, int64_t, float*, float*, int32_t);
template void mask<double>(const vjp_task&, int64_t, int64_t, double*, double*, int32_t);

}  // namespace sepconv
