// What a micro-kernel multiplies: numbers, or bfloat16 by pairs of k.
//
// A pair adds fma(even, even, fma(odd, odd, sum)), each rounded to the nearest, with denormals zero on the way in and on the way out. That
// is what VDPBF16PS does, whatever the modes. Elsewhere the values are floats, the odd one of a pair first, denormals already zero.
#pragma once

#include "simd/simd.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

// The floating-point modes of a chain: the default ones.
struct default_modes {
  static constexpr bool flushes = false;
  SEPCONV_INLINE void leave() {}
};

template <class T>
struct numbers {
  static constexpr bool stores_parts = has_masks, lean = false;
  typedef T sum;
  typedef T element;
  typedef vec<T> vector;
  typedef default_modes modes;

  static SEPCONV_INLINE vector load(const T* p) { return SEPCONV_ISA::load(p); }
  static SEPCONV_INLINE vector all(const T* row) { return broadcast(*row); }
  static SEPCONV_INLINE vec<T> add(vector a, vector b, vec<T> sum) { return fma(a, b, sum); }
};

#if defined(__AVX512BF16__)

struct bfloats {
  static constexpr bool packed = true, stores_parts = false, lean = true;  // for the size of their code
  typedef float sum;
  typedef bfloat_pair element;
  typedef uvec<float> vector;
  typedef default_modes modes;

  static SEPCONV_INLINE vector load(const bfloat_pair* p) {
    return reinterpret_cast<vector>(SEPCONV_ISA::load(reinterpret_cast<const float*>(p)));
  }
  static SEPCONV_INLINE vector all(const bfloat_pair* row) {
    uint32_t bits;
    __builtin_memcpy(&bits, row, sizeof(bits));
    return bits - vector{};
  }
  static SEPCONV_INLINE vec<float> add(vector a, vector b, vec<float> sum) {
    return reinterpret_cast<vec<float>>(_mm512_dpbf16_ps(reinterpret_cast<__m512>(sum), reinterpret_cast<__m512bh>(a),
                                                         reinterpret_cast<__m512bh>(b)));
  }
};

#elif defined(__x86_64__)

// Denormals are zero while it lasts. As the instruction does, x86 tells after rounding what is one.
class flushing_modes {
 public:
  static constexpr bool flushes = true;
  SEPCONV_INLINE flushing_modes() : before_(__builtin_ia32_stmxcsr()) { __builtin_ia32_ldmxcsr(before_ | 0x8040); }
  SEPCONV_INLINE void leave() { __builtin_ia32_ldmxcsr(before_); }

 private:
  unsigned before_;
};

// x, of which the compiler knows nothing: arithmetic on it doesn't move across a change of modes.
SEPCONV_INLINE vec<float> pinned(vec<float> x) {
  asm volatile("" : "+v"(x));
  return x;
}

struct bfloats : numbers<float> {
  static constexpr bool packed = false, stores_parts = false, lean = true;
  typedef flushing_modes modes;
};

#else

// AArch64's mode tells before rounding what is denormal; so the sum is rounded a second time, 24 bits above the denormals. Where the first
// is tiny but not 0, nothing overflows there: products and sums that cancel to so little are small themselves.
struct bfloats : numbers<float> {
  static constexpr bool packed = false, stores_parts = false, lean = true;
  static SEPCONV_INLINE vec<float> add(vec<float> a, vec<float> b, vec<float> s) {
    const vec<float> sum = fma(a, b, s), high = fma(a * 0x1p24f, b, s * 0x1p24f);
    const ivec<float> tiny = (bits<float>(sum) & 0x7fffffff) <= 0x00800000;  // up to the least normal number
    const ivec<float> denormal = (bits<float>(high) & 0x7fffffff) < bits<float>(broadcast(0x1p-102f));
    return from_bits<float>(bits<float>(sum) & ~(tiny & denormal & 0x7fffffff));
  }
};

#endif

// sums += row * columns, where the row is one number. Of AVX2's 16 registers most are full of sums, which GCC else moves about.
template <class P, int Vectors>
SEPCONV_INLINE void add_row(const typename P::element* row, const typename P::vector (&column)[Vectors],
                            vec<typename P::sum> (&sum)[Vectors]) {
#if SEPCONV_ISA_NUMBER == 2
  typedef typename P::vector V;
  if constexpr (sizeof(*row) == 4 && Vectors == 2) {
    const V a = column[0], b = column[1];
    V x = sum[0], y = sum[1], all;
    asm("vbroadcastss %3, %2\n\tvfmadd231ps %4, %2, %0\n\tvfmadd231ps %5, %2, %1"
        : "+x"(x), "+x"(y), "=&x"(all)
        : "m"(*row), "x"(a), "x"(b));
    sum[0] = x;
    sum[1] = y;
    return;
  } else if constexpr (sizeof(*row) == 4 && Vectors == 3) {
    const V a = column[0], b = column[1], c = column[2];
    V x = sum[0], y = sum[1], z = sum[2], all;
    asm("vbroadcastss %4, %3\n\tvfmadd231ps %5, %3, %0\n\tvfmadd231ps %6, %3, %1\n\tvfmadd231ps %7, %3, %2"
        : "+x"(x), "+x"(y), "+x"(z), "=&x"(all)
        : "m"(*row), "x"(a), "x"(b), "x"(c));
    sum[0] = x;
    sum[1] = y;
    sum[2] = z;
    return;
  }
#endif
  const typename P::vector all = P::all(row);
  unroll<Vectors>::run([&](auto v) { sum[decltype(v)::value] = P::add(all, column[decltype(v)::value], sum[decltype(v)::value]); });
}

}  // namespace SEPCONV_ISA
}  // namespace sepconv
