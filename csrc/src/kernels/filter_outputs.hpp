// Depthwise filter with lanes over outputs as they lie in memory, [pixel][channel][multiplier]: whatever the number of channels, lanes are
// full and nothing is transposed. Each vector of outputs reads one vector of inputs a tap, permuted if it has to be; the pattern repeats
// every `depth` outputs, so that vectors which are a period apart share it.
#pragma once

#include "simd/simd.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

#if SEPCONV_ISA_NUMBER == 2 || SEPCONV_ISA_NUMBER == 3

// What a vector of outputs reads: one input, as many as it has, what half a vector of AVX2 holds, or whatever else.
enum class inputs { one, all, few, some };

// One vector of outputs out of each period.
template <class T>
struct output_phase {
  lane_order<T> order;
  const T *input, *weights, *bias;
  ptrdiff_t input_step, output_step;  // from one period to the next
};

template <inputs Reads, class T>
SEPCONV_INLINE vec<T> read_inputs(const T* x, const output_phase<T>& p) {
  if constexpr (Reads == inputs::one)
    return broadcast(*x);
  else if constexpr (Reads == inputs::all)
    return load(x);
#if SEPCONV_ISA_NUMBER == 2
  else if constexpr (Reads == inputs::few)
    return permute_few(x, p.order);
#endif
  else
    return permute(load(x), p.order);
}

template <class T, inputs Reads, int Vectors>
SEPCONV_INLINE void filter_periods(const filter_outputs_args& g, const output_phase<T>& p, const T* x, T* y, int64_t count) {
  vec<T> sum[Vectors] = {};
  const T* w = p.weights;
  for (int64_t t = 0; t < g.taps; ++t, w += g.weights_row) {
    const vec<T> weight = load(w);
    const T* line = x + g.offsets[t];
    unroll<Vectors>::run([&](auto v) {
      sum[decltype(v)::value] = fma(read_inputs<Reads>(line, p), weight, sum[decltype(v)::value]);
      line += p.input_step;
    });
  }
  const vec<T> bias = load(p.bias);
  const vec<T> lo = broadcast(static_cast<T>(g.lo)), hi = broadcast(static_cast<T>(g.hi));
  unroll<Vectors>::run([&](auto v) {
    const vec<T> out = clamp<T>(sum[decltype(v)::value] + bias, lo, hi);
    if (Vectors > 1 || count >= lanes<T>)
      store(y, out);
    else
      store_partial(y, out, count);
    y += p.output_step;
  });
}

// The commonest filter, 3x3 without strides of rows: rows of outputs share what is permuted.
template <class T, inputs Reads, int Rows>
static void filter_rows_of_outputs(const filter_outputs_args& g, const output_phase<T>& p, const T* x, T* y, int64_t periods) {
  vec<T> weight[9];
  unroll<9>::run([&](auto t) { weight[decltype(t)::value] = load(p.weights + decltype(t)::value * g.weights_row); });
  const vec<T> bias = load(p.bias);
  const vec<T> lo = broadcast(static_cast<T>(g.lo)), hi = broadcast(static_cast<T>(g.hi));
  const ptrdiff_t column_step = g.offsets[1];
  for (; periods > 0; --periods, x += p.input_step, y += p.output_step) {
    vec<T> sum[Rows] = {};
    const T* line = x;
    unroll<Rows + 2>::run([&](auto i) {
      constexpr int row = decltype(i)::value;
      unroll<3>::run([&](auto j) {
        constexpr int column = decltype(j)::value;
        const vec<T> value = read_inputs<Reads>(line + column * column_step, p);
        unroll<Rows>::run([&](auto r) {
          constexpr int tap = row - decltype(r)::value;
          if constexpr (tap >= 0 && tap < 3)
            sum[decltype(r)::value] = fma(value, weight[tap * 3 + column], sum[decltype(r)::value]);
        });
      });
      line += g.input_row;
    });
    T* target = y;
    unroll<Rows>::run([&](auto r) {
      store(target, clamp<T>(sum[decltype(r)::value] + bias, lo, hi));
      target += g.output_row;
    });
  }
}

// As many times Vectors periods of a row as there are; moves on.
template <class T, inputs Reads, int Vectors>
SEPCONV_INLINE void filter_whole(const filter_outputs_args& g, const output_phase<T>& p, const T*& x, T*& y, int64_t& left) {
  const ptrdiff_t period = p.output_step;
  for (; left >= (Vectors - 1) * period + lanes<T>; left -= Vectors * period, x += Vectors * p.input_step, y += Vectors * period)
    filter_periods<T, Reads, Vectors>(g, p, x, y, lanes<T>);
}

// The rest of a row. Its permutation serves whatever a vector reads.
template <class T>
static void filter_rest(const filter_outputs_args& g, const output_phase<T>& p, const T* x, T* y, int64_t left) {
  filter_whole<T, inputs::some, 3>(g, p, x, y, left);
  for (; left > 0; left -= p.output_step, x += p.input_step, y += p.output_step) filter_periods<T, inputs::some, 1>(g, p, x, y, left);
}

// The outputs of one phase: of `all` that follow it in each row, the first vector of each period.
template <class T, inputs Reads>
static void filter_phase(const filter_outputs_args& g, const output_phase<T>& p, T* output, int64_t all) {
  const ptrdiff_t period = p.output_step;
  int64_t done = 0;  // periods of all rows
  if (g.patch && g.rows > 1) {
    done = (all - lanes<T> + period) / period;
    const int64_t blocks = (g.rows + 3) / 4;
    for (int64_t b = 0; b < blocks; ++b) {  // even blocks
      const int64_t row = b * g.rows / blocks, rows = (b + 1) * g.rows / blocks - row;
      const auto run = rows == 4   ? filter_rows_of_outputs<T, Reads, 4>
                       : rows == 3 ? filter_rows_of_outputs<T, Reads, 3>
                                   : filter_rows_of_outputs<T, inputs::some, 2>;
      run(g, p, p.input + row * g.input_row, output + row * g.output_row, done);
    }
  }
  for (int64_t row = 0; row < g.rows; ++row) {
    const T* x = p.input + row * g.input_row + done * p.input_step;
    T* y = output + row * g.output_row + done * period;
    int64_t left = all - done * period;  // outputs from y on
    filter_whole<T, Reads, 8>(g, p, x, y, left);
    filter_rest<T>(g, p, x, y, left);
  }
}

template <class T>
static void filter_outputs(const filter_outputs_args* args) {
  const filter_outputs_args& g = *args;
  const int64_t depth = g.channels * g.multiplier, all = g.count * depth;  // outputs of a row
  output_phase<T> p;
  // The least common multiple of depth and a vector, in outputs: lanes are a power of two.
  const int64_t low = depth & -depth, shared = low < lanes<T> ? low : lanes<T>, period = depth / shared * lanes<T>;
  p.input_step = lanes<T> / shared * g.input_pixel;
  p.output_step = period;
  int64_t channel = 0, part = 0;
  const T* input = static_cast<const T*>(g.input);  // of the phase's first pixel
  for (int64_t first = 0; first < period && first < all; first += lanes<T>) {
    p.input = input + channel;
    p.weights = static_cast<const T*>(g.weights) + channel * g.multiplier + part;
    p.bias = static_cast<const T*>(g.bias) + channel * g.multiplier + part;
    typename traits<T>::integer order[lanes<T>];
    for (int k = 0; k < lanes<T>; ++k) {
      order[k] = static_cast<typename traits<T>::integer>(input + channel - p.input);
      if (++part < g.multiplier) continue;
      part = 0;
      if (++channel < g.channels) continue;
      channel = 0;
      input += g.input_pixel;
    }
    p.order = order_of<T>(order);
    T* const output = static_cast<T*>(g.output) + first;
    constexpr bool single = sizeof(T) == 4;  // doubles are rare
    constexpr inputs one = single ? inputs::one : inputs::some, all_of = single ? inputs::all : inputs::some;
    constexpr inputs few = single && SEPCONV_ISA_NUMBER == 2 ? inputs::few : inputs::some;
    const auto run = g.multiplier % lanes<T> == 0                        ? filter_phase<T, one>
                     : g.multiplier == 1 && g.input_pixel == g.channels ? filter_phase<T, all_of>
                     : order[lanes<T> - 1] < lanes<T> / 2               ? filter_phase<T, few>
                                                                        : filter_phase<T, inputs::some>;
    run(g, p, output, all - first);
  }
}

#endif

}  // namespace SEPCONV_ISA
}  // namespace sepconv
