// Copies that change the layout or the storage type.
#pragma once

#include "simd/simd.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

// Lane k of a vector from x[k * Step], read as Step whole vectors.
template <int Step, int Read>
struct every {  // lane k after the vectors up to Read, of the lanes gathered before and of vector Read
  template <class T>
  static constexpr int of(int k) {
    return k * Step < Read * lanes<T> ? (Read == 1 ? k * Step : k)
                                      : k * Step < (Read + 1) * lanes<T> ? lanes<T> + k * Step - Read * lanes<T> : 0;
  }
};

template <int Step, class S>
SEPCONV_INLINE auto load_every(const S* x) {
  auto out = load_as(x);
  typedef typename scalar_of<decltype(out)>::type T;
  unroll<Step - 1>::run([&](auto i) {
    constexpr int read = decltype(i)::value + 1;
    out = shuffle<T, every<Step, read>>(out, load_as(x + read * lanes<T>));
  });
  return out;
}

template <class S, class T>
SEPCONV_INLINE void copy_line(const S* x, ptrdiff_t step, int64_t count, T* y) {
  int64_t i = 0;
  if (step == 1) {
    for (; i + lanes<T> <= count; i += lanes<T>) store(y + i, load_as(x + i));
    if (i < count) store_partial(y + i, load_as_partial(x + i, count - i), count - i);
    return;
  }
  // Whole vectors reach up to step - 1 elements beyond the last that counts, so the last ones are collected, as for other steps.
  if (step == 2)
    for (; i + lanes<T> < count; i += lanes<T>) store(y + i, load_every<2>(x + i * 2));
  if (step == 3)
    for (; i + lanes<T> < count; i += lanes<T>) store(y + i, load_every<3>(x + i * 3));
  S line[lanes<T>] = {};
  for (; i < count; i += lanes<T>) {
    const int64_t n = count - i < lanes<T> ? count - i : lanes<T>;
    for (int64_t k = 0; k < n; ++k) line[k] = x[(i + k) * step];
    store_partial(y + i, load_as(line), n);
  }
}

// target[r * target_row + i] = source[r * source_row + i * step]
template <class S, class T>
void copy_lines(const void* source, ptrdiff_t source_row, ptrdiff_t step, int64_t rows, int64_t count, void* target,
                ptrdiff_t target_row) {
  const S* x = static_cast<const S*>(source);
  T* y = static_cast<T*>(target);
  for (int64_t r = 0; r < rows; ++r) copy_line<S, T>(x + r * source_row, step, count, y + r * target_row);
}

// One step of a transpose: the halves of two rows that lie Distance lanes apart change places.
template <int Distance>
struct first_halves {
  template <class T>
  static constexpr int of(int k) { return k & Distance ? lanes<T> + k - Distance : k; }
};
template <int Distance>
struct second_halves {
  template <class T>
  static constexpr int of(int k) { return k & Distance ? lanes<T> + k : k + Distance; }
};

template <class T, int Distance>
SEPCONV_INLINE void transpose_step(vec<T> (&row)[lanes<T>]) {
  if constexpr (Distance < lanes<T>) {
    unroll<lanes<T>>::run([&](auto i) {
      constexpr int a = decltype(i)::value, b = a + Distance;
      if constexpr (!(a & Distance)) {
        const vec<T> first = shuffle<T, first_halves<Distance>>(row[a], row[b]);
        row[b] = shuffle<T, second_halves<Distance>>(row[a], row[b]);
        row[a] = first;
      }
    });
    transpose_step<T, Distance * 2>(row);
  }
}

// Up to a vector of rows by up to a vector of columns; rows end up next to one another.
template <class T, class S>
void store_transposed(const T* x, ptrdiff_t source_row, int64_t rows, int64_t columns, S* y, ptrdiff_t target_column) {
  vec<T> row[lanes<T>];
  unroll<lanes<T>>::run([&](auto r) {
    constexpr int i = decltype(r)::value;
    row[i] = i >= rows ? vec<T>{} : columns == lanes<T> ? load(x + i * source_row) : load_partial(x + i * source_row, columns);
  });
  transpose_step<T, 1>(row);
  unroll<lanes<T>>::run([&](auto c) {
    constexpr int i = decltype(c)::value;
    if (i >= columns) return;
    if (rows == lanes<T>)
      store_as(y + i * target_column, row[i]);
    else
      store_as_partial(y + i * target_column, row[i], rows);
  });
}

// target[r * target_row + c * target_column] = source[r * source_row + c]
template <class T, class S>
void store_tile(const void* source, ptrdiff_t source_row, int64_t rows, int64_t columns, void* target, ptrdiff_t target_row,
                ptrdiff_t target_column) {
  const T* x = static_cast<const T*>(source);
  S* y = static_cast<S*>(target);
  if (target_row == 1 && target_column != 1 && rows > 1) {
    for (int64_t r = 0; r < rows; r += lanes<T>)
      for (int64_t c = 0; c < columns; c += lanes<T>)
        store_transposed<T, S>(x + r * source_row + c, source_row, rows - r < lanes<T> ? rows - r : lanes<T>,
                               columns - c < lanes<T> ? columns - c : lanes<T>, y + r + c * target_column, target_column);
    return;
  }
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
