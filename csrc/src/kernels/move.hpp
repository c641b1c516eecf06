// Copies that change the layout or the storage type.
#pragma once

#include "simd/simd.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

// target[i] = source[i * step]
template <class S, class T>
void copy_line(const void* source, ptrdiff_t step, int64_t count, void* target) {
  const S* x = static_cast<const S*>(source);
  T* y = static_cast<T*>(target);
  if (step == 1) {
    int64_t i = 0;
    for (; i + lanes<T> <= count; i += lanes<T>) store(y + i, load_as(x + i));
    if (i < count) store_partial(y + i, load_as_partial(x + i, count - i), count - i);
    return;
  }
  // Strided: gather a vector of storage elements, widen it once.
  S line[lanes<T>] = {};
  for (int64_t i = 0; i < count; i += lanes<T>) {
    const int64_t n = count - i < lanes<T> ? count - i : lanes<T>;
    for (int64_t k = 0; k < n; ++k) line[k] = x[(i + k) * step];
    store_partial(y + i, load_as(line), n);
  }
}

// target[r * target_row + c * target_column] = source[r * source_row + c]
template <class T, class S>
void store_tile(const void* source, ptrdiff_t source_row, int64_t rows, int64_t columns, void* target, ptrdiff_t target_row,
                ptrdiff_t target_column) {
  const T* x = static_cast<const T*>(source);
  S* y = static_cast<S*>(target);
  for (int64_t r = 0; r < rows; ++r, x += source_row, y += target_row) {
    int64_t c = 0;
    if (target_column == 1) {
      for (; c + lanes<T> <= columns; c += lanes<T>) store_as(y + c, load(x + c));
      if (c < columns) store_as_partial(y + c, load_partial(x + c, columns - c), columns - c);
      continue;
    }
    S line[lanes<T>];
    for (; c < columns; c += lanes<T>) {
      const int64_t n = columns - c < lanes<T> ? columns - c : lanes<T>;
      store_as(line, load_partial(x + c, n));
      for (int64_t k = 0; k < n; ++k) y[(c + k) * target_column] = line[k];
    }
  }
}

// Enough independent chains to fill the pipelines; the result keeps the compiler from dropping them.
template <class T>
double fma_loop(int64_t rounds) {
  constexpr int chains = 10;
  vec<T> sum[chains];  // that start apart: equal ones would be merged into one
  unroll<chains>::run([&](auto c) { sum[decltype(c)::value] = broadcast(static_cast<T>(decltype(c)::value)); });
  const vec<T> x = broadcast(static_cast<T>(0.5)), y = broadcast(static_cast<T>(1));
  for (int64_t i = 0; i < rounds; ++i) {
    unroll<chains>::run([&](auto c) {
      vec<T>& s = sum[decltype(c)::value];
      s = fma(s, x, y);
    });
  }
  T total = 0;
  unroll<chains>::run([&](auto c) { total += sum[decltype(c)::value][0]; });
  return static_cast<double>(rounds) * chains * lanes<T> + (total < 0 ? 1 : 0);
}

}  // namespace SEPCONV_ISA
}  // namespace sepconv
