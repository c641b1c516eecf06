#include "pack/pack.hpp"

#include <algorithm>
#include <memory>
#include <type_traits>

#include "pack/widen.hpp"
#include "plan/checked.hpp"
#include "runtime/memory.hpp"
#include "runtime/parallel.hpp"

namespace sepconv {
namespace {

constexpr std::size_t least_shared = 1 << 18;  // bytes of weights that threads share out

struct unpacked {
  const sepconv_weights& weights;
  const geometry& g;
  int64_t channels, multiplier, filters, taps;
  bool multiplies;
};

void require(bool present, bool wanted, const char* field) {
  if (present != wanted)
    invalid(std::string("`") + field + "` must be " + (wanted ? "an array" : "NULL") + " for this operator. Received: " +
            (present ? "an array" : "NULL"));
}

// y[i * step] = x[i * from] for i < count, then zeros up to `room`.
template <class T, class S>
void spread(const S* x, int64_t from, int64_t count, int64_t room, T* y, int64_t step = 1) {
  if (from == 1 && step == 1)
    for (int64_t i = 0; i < count; ++i) y[i] = static_cast<T>(number(x[i]));
  else
    for (int64_t i = 0; i < count; ++i) y[i * step] = static_cast<T>(number(x[i * from]));  // fits: an index
  for (int64_t i = count; i < room; ++i) y[i * step] = T(0);  // fits: an index
}

// The same of an array of weights from `first` on; of zeros without an array.
template <class T>
void spread(const unpacked& u, const void* array, int64_t first, int64_t from, int64_t count, int64_t room, T* y, int64_t step = 1) {
  if (array)
    with_type(array, u.weights.dtype, [&](const auto* x) { spread(x + first, from, count, room, y, step); });
  else
    spread<T, T>(nullptr, 0, 0, room, y, step);
}

template <class T>
void pack_depthwise(const unpacked& u, sepconv_pack& p, store_tile_fn move_tile) {
  constexpr int64_t block = block_channels<T>;
  const int64_t blocks = ceil_div(u.channels, block);
  const void* kernel = u.weights.depthwise_kernel;
  const int64_t* const step = u.weights.depthwise_strides;
  const void* bias = u.multiplies ? u.weights.depthwise_bias : u.weights.bias;
  T* const blocked = static_cast<T*>(p.blocked);
  T* const planar = static_cast<T*>(p.planar);
  for (int64_t m = 0; m < u.multiplier; ++m) {
    const int64_t row = m * u.channels;  // fits: an index
    spread(u, bias, m, u.multiplier, u.channels, u.channels, static_cast<T*>(p.planar_bias) + row);
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t at = m * blocks + b, c = b * block, here = std::min(block, u.channels - c);  // fits: an index
      const int64_t first = c * u.multiplier + m;                                                // fits: an index
      spread(u, bias, first, u.multiplier, here, block, static_cast<T*>(p.blocked_bias) + at * block);  // fits: an index
      for (int64_t t = 0; t < u.taps; ++t) {
        T* const y = blocked + (at * u.taps + t) * block;  // fits: an index
        const int64_t tap = t / u.g.kernel[1] * step[0] + t % u.g.kernel[1] * step[1];  // fits: an index
        if (kernel)
          spread(u, kernel, tap + c * step[2] + m * step[3], step[2], here, block, y);  // fits: an index
        else  // a 1x1 convolution gathers by a depthwise filter of ones: 1 * x + 0 copies x exactly
          std::fill(y, y + here, T(1)), std::fill(y + here, y + block, T(0));
      }
      move_tile(blocked + at * u.taps * block, block, u.taps, here, planar + (row + c) * u.taps, 1, u.taps);  // fits: an index
    }
  }
}

// Blocked weights in the order of outputs, rows of depth and a block more.
template <class T>
void pack_outputs(const unpacked& u, sepconv_pack& p) {
  constexpr int64_t block = block_channels<T>;
  const int64_t blocks = ceil_div(u.channels, block), row = u.g.depth + block;  // fits: an index
  for (int64_t t = 0; t <= u.taps; ++t) {                                       // and the bias
    const T* x = t < u.taps ? static_cast<const T*>(p.blocked) + t * block : static_cast<const T*>(p.blocked_bias);  // fits: an index
    const int64_t step = t < u.taps ? u.taps * block : block;                                                        // fits: an index
    T* const y = t < u.taps ? static_cast<T*>(p.outputs) + t * row : static_cast<T*>(p.outputs_bias);                // fits: an index
    for (int64_t m = 0; m < u.multiplier; ++m)
      for (int64_t b = 0; b < blocks; ++b, x += step)
        spread(x, 1, std::min(block, u.channels - b * block), 0, y + b * block * u.multiplier + m, u.multiplier);  // fits: an index
    for (int64_t i = u.g.depth; i < row; ++i) y[i] = y[i - u.g.depth];
  }
}

// Panels of `wide` filters; the last one rounded up to `narrow`.
template <class T>
void pack_pointwise(const unpacked& u, sepconv_pack& p, int64_t wide, int64_t narrow, const sepconv_plan& plan, int32_t threads) {
  const int64_t row = u.weights.pointwise_strides[0], column = u.weights.pointwise_strides[1], panels = ceil_div(u.filters, wide);
  const auto padded = [&](int64_t count) { return ceil_div(count, narrow) * narrow; };  // fits: at most a panel more
  // f(first filter, their number, columns with padding, panel)
  const auto with_panel = [&](int64_t panel, auto&& f) {
    const int64_t first = panel * wide, count = std::min(wide, u.filters - first);  // fits: an index
    f(first, count, padded(count), static_cast<T*>(p.panels) + panel * padded(wide) * u.channels * u.multiplier);  // fits: an index
  };
  const auto pad = [](int64_t rows, int64_t count, int64_t columns, T* y) {
    for (int64_t r = 0; r < rows && count < columns; ++r) std::fill_n(y + r * columns + count, columns - count, T(0));  // fits: an index
  };
  const bool widens = (u.weights.dtype == SEPCONV_FLOAT64) == std::is_same<T, double>::value;  // which kernels do
  const copy_lines_fn copy_lines = plan.table->sets[u.weights.dtype]->copy_lines;
  with_type(u.weights.pointwise_kernel, u.weights.dtype, [&](const auto* x) {
    if (std::is_same<decltype(x), const T*>::value && row == 1 && u.multiplier == 1)  // filters outermost, as in PyTorch
      return parallel_for(panels, threads, [&](int64_t panel, int32_t) {
        with_panel(panel, [&](int64_t first, int64_t count, int64_t columns, T* y) {
          plan.kernels->move_tile(x + first * column, column, count, u.channels, y, 1, columns);  // fits: an index
          pad(u.channels, count, columns, y);
        });
      });
    constexpr int64_t together = 8;  // rows, read from one end to the other: the machine fetches them ahead, but not what is written
    parallel_for(ceil_div(u.channels, together), threads, [&](int64_t piece, int32_t) {
      const int64_t c0 = piece * together, rows = std::min(together, u.channels - c0), step = u.multiplier * row;  // fits: an index
      for (int64_t panel = 0; panel < panels; ++panel)
        with_panel(panel, [&](int64_t first, int64_t count, int64_t columns, T* y) {
          for (int64_t m = 0; m < u.multiplier; ++m) {
            const auto* const from = x + c0 * step + m * row + first * column;  // fits: an index
            T* const to = y + (m * u.channels + c0) * columns;                  // fits: an index
            T* const next = to + rows * columns;  // what the next piece writes; fits: an index
            for (int64_t i = 0; i < next - to; i += block_channels<T>) __builtin_prefetch(next + i, 1);
            if (widens) copy_lines(from, step, column, rows, count, to, columns);
            for (int64_t r = 0; r < rows && !widens; ++r) spread(from + r * step, column, count, count, to + r * columns);  // fits: an index
            pad(rows, count, columns, to);
          }
        });
    });
  });
}

// The same of operands in bfloat16, which the kernels make of two rows at a time.
void pack_pairs(const unpacked& u, sepconv_pack& p, int64_t wide, int64_t narrow, const pair_set& pairs) {
  float* y = static_cast<float*>(p.panels);
  float rows[2][max_vectors * block_channels<float>];  // fits: the widest panel
  const int64_t row = u.weights.pointwise_strides[0], column = u.weights.pointwise_strides[1];
  for (int64_t first = 0; first < u.filters; first += wide) {
    const int64_t count = std::min(wide, u.filters - first);
    const int64_t columns = ceil_div(count, narrow) * narrow;  // fits: at most a panel more
    for (int64_t m = 0; m < u.multiplier; ++m)
      for (int64_t c = 0; c < u.channels; c += 2, y += pairs.packed ? columns : 2 * columns) {  // fits: a panel
        const bool odd = c + 1 < u.channels;
        for (int64_t i = 0; i < 1 + odd; ++i)
          spread(u, u.weights.pointwise_kernel, ((c + i) * u.multiplier + m) * row + first * column, column, count, columns, rows[i]);  // fits
        pairs.pair_planes(rows[0], odd ? rows[1] : nullptr, columns, y, columns);
      }
  }
}

template <class T>
sepconv_pack* pack(const sepconv_plan& plan, const sepconv_weights& weights) {
  const geometry& g = plan.geometry;
  const unpacked u = {weights, g, g.channels(), g.multiplier, g.filters(), g.taps, g.multiplies()};
  const bool over_pixels = plan.schedule.multiply == multiply_lanes::pixels;
  const int64_t wide = over_pixels ? plan.schedule.rows : plan.schedule.columns;
  const int64_t narrow = over_pixels ? plan.kernels->pixels_rows : plan.kernels->lanes;

  const int64_t element_bytes = static_cast<int64_t>(sizeof(T));
  const int64_t whole = ceil_div(u.channels, block_channels<T>) * block_channels<T>;  // fits: at most a block more
  const int64_t padded = checked_mul(whole, u.multiplier, "multiplier");
  const int64_t panels = u.multiplies ? ceil_div(u.filters, wide) : 0, panel = ceil_div(wide, narrow) * narrow;  // fits: constants
  const int64_t panel_columns = checked_mul(panels, panel, "filters");
  const int64_t outputs = u.multiplies ? 0 : g.depth + block_channels<T>;             // fits: at most a block more
  const auto room = [&](int64_t count) {  // bytes, in whole cache lines
    const int64_t size = checked_add(checked_mul(count, element_bytes, "filters"), int64_t{63}, "filters");
    return static_cast<std::size_t>(size / 64 * 64);  // fits: rounds down
  };
  const std::size_t sizes[] = {
      room(checked_mul(padded, u.taps, "kernel")),  room(padded), room(checked_mul(g.depth, u.taps, "kernel")), room(g.depth),
      room(checked_mul(outputs, u.taps, "kernel")), room(outputs),
      room(checked_mul(plan.schedule.steps, panel_columns, "filters")), room(panel_columns)};
  std::size_t total = 0;
  for (std::size_t size : sizes) total = checked_add(total, size, "filters");

  std::unique_ptr<sepconv_pack, void (*)(sepconv_pack*)> p(new sepconv_pack(), destroy_pack);
  p->key = pack_key(plan);
  p->channels = u.channels;
  p->multiplier = u.multiplier;
  p->filters = u.filters;
  p->taps = u.taps;
  p->memory = pool_alloc(total);
  if (!p->memory) throw std::bad_alloc();
  char* at = static_cast<char*>(p->memory);
  void** const parts[] = {&p->blocked, &p->blocked_bias, &p->planar, &p->planar_bias,
                          &p->outputs, &p->outputs_bias, &p->panels, &p->bias};
  for (int i = 0; i < 8; ++i) {
    *parts[i] = at;
    at += sizes[i];
  }
  pack_depthwise<T>(u, *p, plan.kernels->move_tile);
  if (!u.multiplies) {
    pack_outputs<T>(u, *p);
    return p.release();
  }
  if (g.pairs)
    pack_pairs(u, *p, wide, narrow, *plan.table->pairs);
  else
    pack_pointwise<T>(u, *p, wide, narrow, plan, sizes[6] < least_shared ? 1 : plan.schedule.threads);
  spread(u, u.weights.bias, 0, 1, u.filters, ceil_div(u.filters, wide) * wide, static_cast<T*>(p->bias));  // fits: at most a panel more
  return p.release();
}

}  // namespace

sepconv_weights with_strides(const sepconv_weights& weights, const geometry& g) {
  sepconv_weights w = weights;
  if (w.strided < 0 || w.strided > 1) invalid("`strided` of the weights must be 0 or 1. Received: " + std::to_string(w.strided));
  if (w.strided) return w;
  w.strided = 1;
  w.depthwise_strides[0] = g.kernel[1] * g.depth;  // fits: checked in make_geometry
  w.depthwise_strides[1] = g.depth;
  w.depthwise_strides[2] = g.multiplier;
  w.depthwise_strides[3] = 1;
  w.pointwise_strides[0] = g.filters();
  w.pointwise_strides[1] = 1;
  return w;
}

sepconv_pack* make_pack(const sepconv_plan& plan, const sepconv_weights& given) {
  const sepconv_weights weights = with_strides(given, plan.geometry);
  const sepconv_op op = plan.geometry.op;
  if (weights.dtype < 0 || weights.dtype > SEPCONV_BFLOAT16)
    invalid("`dtype` of the weights must be one of 0 to 3. Received: " + std::to_string(weights.dtype));
  require(weights.depthwise_kernel, op != SEPCONV_POINTWISE, "depthwise_kernel");
  require(weights.pointwise_kernel, op != SEPCONV_DEPTHWISE, "pointwise_kernel");
  if (weights.depthwise_bias) require(true, op == SEPCONV_SEPARABLE, "depthwise_bias");
  return plan.geometry.dtype == SEPCONV_FLOAT64 ? pack<double>(plan, weights) : pack<float>(plan, weights);
}

void destroy_pack(sepconv_pack* pack) {
  if (!pack) return;
  pool_free(pack->memory);
  delete pack;
}

}  // namespace sepconv
