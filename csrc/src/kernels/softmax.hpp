// Functions of whole rows, in place: softmax, its logarithm, and what they make of gradients. A row with NaN or +inf, or of nothing but
// -inf, becomes NaN, as the formulas have it.
//
// Value k of a row belongs to sum k % 16, and the sums are added by halves: the same order whatever the vector.
#pragma once

#include "sepconv/sepconv.h"
#include "simd/math.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

template <class T>
constexpr int row_sums = 16 / lanes<T>;  // vectors of them

constexpr int short_rows = 16;

template <int Distance>
struct across {
  template <class T>
  static constexpr int of(int k) { return k ^ Distance; }
};

// part[0] becomes all of them, joined by halves.
template <class T, int N, class F>
SEPCONV_INLINE void join_halves(vec<T>* part, const F& join) {
  if constexpr (N > 1) {
    unroll<N / 2>::run([&](auto i) { part[decltype(i)::value] = join(part[decltype(i)::value], part[decltype(i)::value + N / 2]); });
    join_halves<T, N / 2>(part, join);
  }
}

// All lanes, likewise; every lane has the result.
template <class T, int Distance = lanes<T> / 2, class F>
SEPCONV_INLINE vec<T> join_lanes(vec<T> x, const F& join) {
  if constexpr (Distance == 0)
    return x;
  else
    return join_lanes<T, Distance / 2>(join(x, shuffle<T, across<Distance>>(x, x)), join);
}

// x in the first n lanes, `rest` in the others
template <class T>
SEPCONV_INLINE vec<T> first_of(vec<T> x, int64_t n, vec<T> rest) {
  if (n >= lanes<T>) return x;
  ivec<T> place{};
  unroll<lanes<T>>::run([&](auto k) { place[decltype(k)::value] = decltype(k)::value; });
  return select<T>(place < static_cast<typename traits<T>::integer>(n), x, rest);
}

template <class T>
SEPCONV_INLINE vec<T> load_first_of(const T* p, int64_t n, vec<T> rest) {
  return n >= lanes<T> ? load(p) : first_of<T>(load_partial(p, n), n, rest);
}

template <class T>
SEPCONV_INLINE void store_first_of(T* p, vec<T> x, int64_t n) {
  if (n >= lanes<T>)
    store(p, x);
  else
    store_partial(p, x, n);
}

// next(partial result, place, values left) for each vector of a row; then all partial results are joined.
template <class T, class Next, class Join>
SEPCONV_INLINE vec<T> reduce_row(int64_t columns, vec<T> start, const Next& next, const Join& join) {
  constexpr int n = row_sums<T>;
  vec<T> part[n];
  unroll<n>::run([&](auto i) { part[decltype(i)::value] = start; });
  int at = 0;
  for (int64_t c = 0; c < columns; c += lanes<T>, at = (at + 1) % n) part[at] = next(part[at], c, columns - c);
  join_halves<T, n>(part, join);
  return join_lanes<T>(part[0], join);
}

struct larger {  // NaN never is; where both are, the first
  template <class V>
  SEPCONV_INLINE V operator()(V a, V b) const { return at_least(a, b); }
};

struct plus {
  template <class V>
  SEPCONV_INLINE V operator()(V a, V b) const { return a + b; }
};

// log(x) of x >= 1, or of NaN
template <class T>
SEPCONV_INLINE vec<T> log_from_one(vec<T> x) {
  using c = math_constants<T>;
  constexpr int mantissa = sizeof(T) == 4 ? 23 : 52;
  const ivec<T> one = bits<T>(broadcast(T(1))), exponent = (bits<T>(x) - one) >> mantissa;
  const vec<T> fraction = from_bits<T>(bits<T>(x) - (exponent << mantissa)), n = to_float<T>(exponent);  // in [1, 2)
  const vec<T> sum = fma(n, broadcast(c::ln2), fma(n, broadcast(c::ln2_rest), log1p<T>(fraction - T(1))));
  return select<T>(x == x, sum, x);
}

template <class T>
static void activate_rows(int32_t kind, void* data, int64_t rows, int64_t columns) {
  T* x = static_cast<T*>(data);
  const vec<T> least = broadcast(static_cast<T>(-__builtin_inf()));
  const bool logarithm = kind == SEPCONV_LOG_SOFTMAX;
  if (columns <= lanes<T>) {  // several at a time: a load beside what a masked store is going to write waits for it
    vec<T> row[short_rows];
    for (int64_t n; rows > 0; rows -= n, x += n * columns) {
      n = rows < short_rows ? rows : short_rows;
      for (int64_t r = 0; r < n; ++r) row[r] = load_first_of(x + r * columns, columns, least);
      for (int64_t r = 0; r < n; ++r) {
        const vec<T> shifted = first_of<T>(row[r] - join_lanes<T>(row[r], larger{}), columns, vec<T>{}), power = exp_below<T>(shifted);
        const vec<T> sum = join_lanes<T>(first_of<T>(power, columns, vec<T>{}), plus{});
        row[r] = logarithm ? shifted - log_from_one<T>(sum) : power * (T(1) / sum);
      }
      for (int64_t r = 0; r < n; ++r) store_first_of(x + r * columns, row[r], columns);
    }
    return;
  }
  for (; rows > 0; --rows, x += columns) {
    const vec<T> most = reduce_row<T>(
        columns, least, [&](vec<T> before, int64_t c, int64_t left) { return at_least(before, load_first_of(x + c, left, least)); },
        larger{});
    const vec<T> sum = reduce_row<T>(
        columns, vec<T>{},
        [&](vec<T> before, int64_t c, int64_t left) {
          const vec<T> power = exp_below<T>(load_first_of(x + c, left, most) - most);
          if (!logarithm) store_first_of(x + c, power, left);
          return before + first_of<T>(power, left, vec<T>{});
        },
        plus{});
    const vec<T> last = logarithm ? log_from_one<T>(sum) : T(1) / sum;
    for (int64_t c = 0; c < columns; c += lanes<T>) {
      const vec<T> value = load_first_of(x + c, columns - c, vec<T>{});
      store_first_of(x + c, logarithm ? value - most - last : value * last, columns - c);
    }
  }
}

// y * (dy - sum(dy * y)), or dy - e^y * sum(dy) for the logarithm
template <class T>
static void derive_rows(int32_t kind, const void* output, void* gradient, int64_t rows, int64_t columns) {
  const T* y = static_cast<const T*>(output);
  T* up = static_cast<T*>(gradient);
  const bool logarithm = kind == SEPCONV_LOG_SOFTMAX;
  const vec<T> one = broadcast(T(1));
  for (; rows > 0; --rows, y += columns, up += columns) {
    const vec<T> sum = reduce_row<T>(
        columns, vec<T>{},
        [&](vec<T> before, int64_t c, int64_t left) {
          const vec<T> weight = logarithm ? one : load_first_of(y + c, left, vec<T>{});
          return fma(load_first_of(up + c, left, vec<T>{}), weight, before);
        },
        plus{});
    for (int64_t c = 0; c < columns; c += lanes<T>) {
      const int64_t left = columns - c;
      const vec<T> of = load_first_of(y + c, left, vec<T>{}), dy = load_first_of(up + c, left, vec<T>{});
      store_first_of(up + c, logarithm ? fma(-exp<T>(of), sum, dy) : of * (dy - sum), left);
    }
  }
}

}  // namespace SEPCONV_ISA
}  // namespace sepconv
