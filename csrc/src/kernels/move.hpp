// Copies that change the layout or the storage type.
#pragma once

#include "simd/simd.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

// Lane k of a vector from x[k * Step + Offset], read as Step whole vectors.
template <int Step, int Offset, int Read>
struct every {  // lane k after the vectors up to Read, of the lanes gathered before and of vector Read
  template <class T>
  static constexpr int of(int k) {
    const int at = k * Step + Offset;
    return at < Read * lanes<T> ? (Read == 1 ? at : k) : at < (Read + 1) * lanes<T> ? lanes<T> + at - Read * lanes<T> : 0;
  }
};

template <int Step, int Offset, class S>
SEPCONV_INLINE auto load_every(const S* x) {
#if SEPCONV_ISA_NUMBER == 2
  if constexpr (Step == 2 && sizeof(S) > 2) return load_every_second<Offset>(x);
#endif
  auto out = load_as(x);
  typedef typename scalar_of<decltype(out)>::type T;
  unroll<Step - 1>::run([&](auto i) {
    constexpr int read = decltype(i)::value + 1;
    out = shuffle<T, every<Step, Offset, read>>(out, load_as(x + read * lanes<T>));
  });
  return out;
}

// All of more than a vector of elements. Whole vectors reach up to Step - 1 elements beyond the last that counts, so those of the last
// vector are read from the other side.
template <int Step, class S, class T>
SEPCONV_INLINE void copy_every(const S* x, int64_t count, T* y) {
  const int64_t last = count - lanes<T>;
  for (int64_t i = 0; i < last; i += lanes<T>) store(y + i, load_every<Step, 0>(x + i * Step));
  store(y + last, load_every<Step, Step - 1>(x + last * Step - (Step - 1)));
}

// Values next to one another, on both sides.
template <class S, class D>
SEPCONV_INLINE void move_line(const S* x, int64_t count, D* y) {
  constexpr int all = lanes<float> * 4 / (sizeof(S) > sizeof(D) ? sizeof(S) : sizeof(D));  // of the type of sums
  if (count < all) return store_as_some(y, load_as_partial(x, count), count);
  const int64_t last = count - all;  // the last vector begins early
  for (int64_t i = 0; i < last; i += all) store_as(y + i, load_as(x + i));
  store_as(y + last, load_as(x + last));
}

template <class S, class T>
SEPCONV_INLINE void copy_line(const S* x, ptrdiff_t step, int64_t count, T* y) {
  if (step == 1) return move_line(x, count, y);
#if SEPCONV_ISA_NUMBER != 1  // for the size of its code
  if (step > 1 && step <= 8 && count > lanes<T>) {
    unroll<7>::run([&](auto s) {
      if (step == decltype(s)::value + 2) copy_every<decltype(s)::value + 2>(x, count, y);
    });
    return;
  }
#endif
  S line[lanes<T>] = {};
  for (int64_t i = 0; i < count; i += lanes<T>) {
    const int64_t n = count - i < lanes<T> ? count - i : lanes<T>;
    for (int64_t k = 0; k < n; ++k) line[k] = x[(i + k) * step];
    store_partial(y + i, load_as(line), n);
  }
}

// target[r * target_row + i] = source[r * source_row + i * step]
template <class S, class T>
static void copy_lines(const void* source, ptrdiff_t source_row, ptrdiff_t step, int64_t rows, int64_t count, void* target,
                ptrdiff_t target_row) {
  const S* x = static_cast<const S*>(source);
  T* y = static_cast<T*>(target);
  if (step == 1 && count == block_channels<T>) {  // pixels of one block of channels, of which gradients copy many
    for (int64_t r = 0; r < rows; ++r, x += source_row, y += target_row)
      unroll<block_channels<T> / lanes<T>>::run(
          [&](auto v) { store(y + decltype(v)::value * lanes<T>, load_as(x + decltype(v)::value * lanes<T>)); });
    return;
  }
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

template <int Distance, class T, int Rows>
SEPCONV_INLINE void transpose_step(T (&row)[Rows]) {
  if constexpr (Distance < Rows) {
    typedef typename scalar_of<T>::type E;
    unroll<Rows>::run([&](auto i) {
      constexpr int a = decltype(i)::value, b = a + Distance;
      if constexpr (!(a & Distance)) {
        const T first = shuffle<E, first_halves<Distance>>(row[a], row[b]);
        row[b] = shuffle<E, second_halves<Distance>>(row[a], row[b]);
        row[a] = first;
      }
    });
    transpose_step<Distance * 2>(row);
  }
}

template <int Part, int Rows>
struct part_of {  // lanes from Part * Rows on
  template <class T>
  static constexpr int of(int k) { return (k + Part * Rows) % lanes<T>; }
};

// Up to Rows rows by up to a vector of columns; rows end up next to one another. Fewer rows than lanes are transposed in parts of a vector.
template <int Rows, class T>
static void store_transposed(const T* x, ptrdiff_t source_row, int64_t rows, int64_t columns, T* y, ptrdiff_t target_column) {
  constexpr bool masks = masked_stores_are_free;  // no code for whole vectors, for its size
  vec<T> row[Rows];
  unroll<Rows>::run([&](auto r) {
    constexpr int i = decltype(r)::value;
    row[i] = i >= rows ? vec<T>{} : !masks && columns == lanes<T> ? load(x + i * source_row) : load_partial(x + i * source_row, columns);
  });
  transpose_step<1>(row);
  unroll<lanes<T>>::run([&](auto c) {
    constexpr int i = decltype(c)::value;
    if (i >= columns) return;
    const vec<T> out = shuffle<T, part_of<i / Rows, Rows>>(row[i % Rows], row[i % Rows]);
    if (!masks && rows == lanes<T>)
      store(y + i * target_column, out);
    else
      store_some(y + i * target_column, out, rows);
  });
}

// The reverse of load_every: Rows rows become the elements of Rows whole vectors in turn.
template <int Rows, int Part, int Read>
struct woven {  // lane k of vector Part, of the rows before Read and of row Read
  template <class T>
  static constexpr int of(int k) {
    constexpr int at = Part * lanes<T>;
    return (at + k) % Rows == Read ? lanes<T> + (at + k) / Rows : Read == 1 ? (at + k) / Rows : k;
  }
};

template <int Rows, class T, class S>
SEPCONV_INLINE void store_woven(const T* x, ptrdiff_t source_row, S* y) {
  vec<T> row[Rows];
  unroll<Rows>::run([&](auto r) { row[decltype(r)::value] = load(x + decltype(r)::value * source_row); });
  unroll<Rows>::run([&](auto p) {
    constexpr int part = decltype(p)::value;
    vec<T> out = row[0];
    unroll<Rows - 1>::run([&](auto r) {
      constexpr int read = decltype(r)::value + 1;
      out = shuffle<T, woven<Rows, part, read>>(out, row[read]);
    });
    store_as(y + part * lanes<T>, out);
  });
}

// target[r * target_row + c * target_column] = source[r * source_row + c]
template <class T, class S>
static void store_tile(const void* source, ptrdiff_t source_row, int64_t rows, int64_t columns, void* target, ptrdiff_t target_row,
                ptrdiff_t target_column) {
  const T* x = static_cast<const T*>(source);
  S* y = static_cast<S*>(target);
  if (target_row == 1 && target_column != 1 && rows > 1) {
    if (target_column == rows) {
      const auto weave = [&](auto r) {
        constexpr int all = decltype(r)::value + 2;
        if (rows == all)
          for (; columns >= lanes<T>; columns -= lanes<T>, x += lanes<T>, y += all * lanes<T>) store_woven<all>(x, source_row, y);
      };
      unroll<3>::run(weave);
    }
    const auto move = [&](int64_t r, int64_t c) {
      constexpr int half = lanes<T> < 16 ? lanes<T> : lanes<T> / 2;  // no more, for the size of its code
      if (!masked_stores_are_free && r > 0 && rows - r < lanes<T>) r = rows - lanes<T>;  // the last vector begins early
      const int64_t rest = rows - r < lanes<T> ? rows - r : lanes<T>, here = columns - c < lanes<T> ? columns - c : lanes<T>;
      const auto transpose = rest > half ? store_transposed<lanes<T>, T> : store_transposed<half, T>;
      const T* const from = x + r * source_row + c;
      S* to = y + r + c * target_column;
      if constexpr (sizeof(S) == sizeof(T)) {
        transpose(from, source_row, rest, here, to, target_column);
      } else {
        T turned[lanes<T> * lanes<T>];
        transpose(from, source_row, rest, here, turned, lanes<T>);
        for (int64_t k = 0; k < here; ++k, to += target_column) {
          const T* const out = turned + k * lanes<T>;
          if (rest == lanes<T>)
            store_as(to, load(out));
          else
            store_as_some(to, load_partial(out, rest), rest);
        }
      }
    };
    // Along the lines of the side where they lie farther apart, a few of them at a time, if they are many.
    if (target_column > source_row && columns > block_channels<T>) {
      for (int64_t c = 0; c < columns; c += lanes<T>)
        for (int64_t r = 0; r < rows; r += lanes<T>) move(r, c);
    } else {
      for (int64_t r = 0; r < rows; r += lanes<T>)
        for (int64_t c = 0; c < columns; c += lanes<T>) move(r, c);
    }
    return;
  }
  for (int64_t r = 0; r < rows; ++r, x += source_row, y += target_row) {
    if (target_column == 1) {
      move_line(x, columns, y);
      continue;
    }
    S line[lanes<T>];
    for (int64_t c = 0; c < columns; c += lanes<T>) {
      const int64_t n = columns - c < lanes<T> ? columns - c : lanes<T>;
      store_as(line, load_partial(x + c, n));
      for (int64_t k = 0; k < n; ++k) y[(c + k) * target_column] = line[k];
    }
  }
}

// Enough independent chains to fill the pipelines; the result keeps the compiler from dropping them.
template <class T>
static double fma_loop(int64_t rounds) {
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
