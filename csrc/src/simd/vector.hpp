// The vector type: compiler vector extensions give + - * / and comparisons; the functions below are the rest. Everything here
// lives in the namespace of its instruction set, because these files are compiled once for each.
//
// A comparison gives a `mask<T>` (lanes all ones or zero); select() uses it.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernel_types.hpp"

#define SEPCONV_INLINE inline __attribute__((always_inline))

// Keeps a loaded vector in a register: else a compiler may load it again for each of its uses.
#if defined(__x86_64__)
#define SEPCONV_IN_REGISTER(x) asm("" : "+v"(x))
#elif defined(__aarch64__)
#define SEPCONV_IN_REGISTER(x) asm("" : "+w"(x))
#else
#define SEPCONV_IN_REGISTER(x)
#endif

namespace sepconv {
namespace SEPCONV_ISA {

template <class T>
struct traits;

#define SEPCONV_VECTOR(T, I, U)                                                  \
  template <>                                                                    \
  struct traits<T> {                                                             \
    static constexpr int lanes = SEPCONV_VECTOR_BYTES / static_cast<int>(sizeof(T)); \
    typedef T type __attribute__((vector_size(SEPCONV_VECTOR_BYTES)));           \
    typedef I signed_type __attribute__((vector_size(SEPCONV_VECTOR_BYTES)));    \
    typedef U unsigned_type __attribute__((vector_size(SEPCONV_VECTOR_BYTES)));  \
    typedef T unaligned __attribute__((vector_size(SEPCONV_VECTOR_BYTES), aligned(sizeof(T)), may_alias)); \
    typedef uint16_t short_type __attribute__((vector_size(SEPCONV_VECTOR_BYTES / sizeof(T) * 2))); \
    typedef I integer;                                                           \
  };
SEPCONV_VECTOR(float, int32_t, uint32_t)
SEPCONV_VECTOR(double, int64_t, uint64_t)
#undef SEPCONV_VECTOR

template <class T>
using vec = typename traits<T>::type;
template <class T>
using ivec = typename traits<T>::signed_type;
template <class T>
using uvec = typename traits<T>::unsigned_type;
template <class T>
using mask = ivec<T>;
template <class T>
constexpr int lanes = traits<T>::lanes;
constexpr bool has_masks = SEPCONV_ISA_NUMBER == 2 || SEPCONV_ISA_NUMBER == 3;  // load_partial and store_partial are an instruction
constexpr bool masked_stores_are_free = SEPCONV_ISA_NUMBER == 3;                // and the latter costs no more than store

// Unrolled loops: f(index<0>{}) ... f(index<N - 1>{}). Accumulator arrays stay in registers only when every index is a constant.
template <int I>
struct index {
  static constexpr int value = I;
};
template <int N>
struct unroll {
  template <class F>
  static SEPCONV_INLINE void run(F&& f) {
    unroll<N - 1>::run(f);
    f(index<N - 1>{});
  }
};
template <>
struct unroll<0> {
  template <class F>
  static SEPCONV_INLINE void run(F&&) {}
};

// The element type of a vector.
template <class V>
struct scalar_of;
template <>
struct scalar_of<vec<float>> {
  typedef float type;
};
template <>
struct scalar_of<vec<double>> {
  typedef double type;
};

// Lane k is lane Index::of<T>(k) of a followed by b.
template <int... I>
struct lane_list {
  template <class T, class Index>
  static SEPCONV_INLINE vec<T> shuffle(vec<T> a, vec<T> b) {
    return __builtin_shufflevector(a, b, Index::template of<T>(I)...);
  }
};
template <int N, int... I>
struct first_lane_list : first_lane_list<N - 1, N - 1, I...> {};
template <int... I>
struct first_lane_list<0, I...> {
  typedef lane_list<I...> type;
};

template <class T, class Index>
SEPCONV_INLINE vec<T> shuffle(vec<T> a, vec<T> b) {
  return first_lane_list<lanes<T>>::type::template shuffle<T, Index>(a, b);
}

// `x - {}` and not `x + {}`: the latter is an addition for the compiler, since -0 + 0 is not -0.
template <class T>
SEPCONV_INLINE vec<T> broadcast(T x) {
  return x - vec<T>{};
}

template <class T>
SEPCONV_INLINE vec<T> load(const T* p) {
  return *reinterpret_cast<const typename traits<T>::unaligned*>(p);
}

template <class T>
SEPCONV_INLINE void store(T* p, vec<T> x) {
  *reinterpret_cast<typename traits<T>::unaligned*>(p) = x;
}

template <class T>
SEPCONV_INLINE vec<T> select(ivec<T> condition, vec<T> yes, vec<T> no) {
  return condition ? yes : no;
}

template <class T>
SEPCONV_INLINE ivec<T> bits(vec<T> x) {
  return reinterpret_cast<ivec<T>>(x);
}

template <class T>
SEPCONV_INLINE vec<T> from_bits(ivec<T> x) {
  return reinterpret_cast<vec<T>>(x);
}

template <class T>
SEPCONV_INLINE vec<T> to_float(ivec<T> x) {
  return __builtin_convertvector(x, vec<T>);
}

// Truncates; |x| must fit.
template <class T>
SEPCONV_INLINE ivec<T> to_int(vec<T> x) {
  return __builtin_convertvector(x, ivec<T>);
}

}  // namespace SEPCONV_ISA
}  // namespace sepconv
