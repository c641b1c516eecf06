// The first region: weights in the orders that the steps read, and the masked output gradient.
#include <algorithm>
#include <limits>

#include "op/task.hpp"
#include "op/vjp_task.hpp"

namespace sepconv {
namespace {

// weight(tap, k) of a pair, to [multiplier][block][tap][lane], of `taps` taps.
template <class T, class F>
void pack_blocks(const sepconv_vjp& v, const channel_pair& c, int64_t taps, T* to, F&& weight) {
  const int64_t multiplier = v.multiplier, blocks = v.pairs * v.width / v.block;
  for (int64_t m = 0; m < multiplier; ++m)
    for (int64_t first = 0; first < v.width; first += v.block) {
      T* y = to + (m * blocks + (c.first + first) / v.block) * taps * v.block;
      for (int64_t tap = 0; tap < taps; ++tap, y += v.block)
        for (int64_t i = 0; i < v.block; ++i)
          y[i] = first + i < c.count ? weight(tap, (c.first + first + i) * multiplier + m) : T(0);
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
void pack_pair(const vjp_task& t, int64_t pair) {
  const sepconv_vjp& v = *t.v;
  const geometry& g = t.geo();
  const channel_pair c = pair_of(v, pair);
  const T* kernel = static_cast<const T*>(t.weights->depthwise_kernel);
  const T* bias = static_cast<const T*>(t.weights->depthwise_bias);
  const int64_t* const step = t.weights->depthwise_strides;
  const auto weight = [&](int64_t tap, int64_t k) {
    if (!kernel) return T(1);
    return kernel[tap / g.kernel[1] * step[0] + tap % g.kernel[1] * step[1] + k / g.multiplier * step[2] + k % g.multiplier * step[3]];
  };
  pack_blocks(v, c, g.taps, t.shared<T>(v.blocked), weight);
  pack_blocks(v, c, 1, t.shared<T>(v.blocked_bias), [&](int64_t, int64_t k) { return bias ? bias[k] : T(0); });
  if (pair == 0) std::fill_n(t.shared<T>(v.zeros), std::max<int64_t>(v.width, 64), T(0));
  if (v.wants(SEPCONV_GRADIENT_INPUT)) {
    T* to = t.shared<T>(v.reversed);
    for (const phase& y : v.phases[0])
      for (const phase& x : v.phases[1]) {
        const int64_t taps = y.taps * x.taps;
        pack_blocks(v, c, taps, to, [&](int64_t tap, int64_t k) {
          const int64_t i = y.tap + (y.taps - 1 - tap / x.taps) * y.tap_step, j = x.tap + (x.taps - 1 - tap % x.taps) * x.tap_step;
          return weight(i * g.kernel[1] + j, k);
        });
        to += taps * v.pairs * v.width * v.multiplier;
      }
  }
}

template void pack_pair<float>(const vjp_task&, int64_t);
template void pack_pair<double>(const vjp_task&, int64_t);

template <class T>
void pack_panels(const vjp_task& t, const channel_pair& c, T* to) {
  const sepconv_vjp& v = *t.v;
  const geometry& g = t.geo();
  const T* kernel = static_cast<const T*>(t.weights->pointwise_kernel);
  const int64_t step = t.weights->pointwise_strides[0], row = v.multiplier * step, column = t.weights->pointwise_strides[1];  // fits: an index
  const int64_t widest = v.sums->filters_vectors * v.sums->lanes;
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

template void pack_panels<float>(const vjp_task&, const channel_pair&, float*);
template void pack_panels<double>(const vjp_task&, const channel_pair&, double*);

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
      load_pixels(v, {d + f * channel * element, pixel, channel}, count, filters, y, v.block, lines);
      if (v.last == derivative_source::none) continue;
      load_pixels(v, {of + f * channel * element, pixel, channel}, count, filters, kept, v.block, lines);
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
