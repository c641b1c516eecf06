// Multiplication by powers of two where no instruction does it.
#pragma once

namespace sepconv {
namespace SEPCONV_ISA {

// x * 2^n, n a whole number whose half is the exponent of a normal number, in two steps: the first is exact where x * 2^(n / 2) is normal.
// `integer` is 1.5 * 2^mantissa: the low bits of its sum with n are those of n. Other n give anything.
template <class T>
SEPCONV_INLINE vec<T> scale_in_two_steps(vec<T> x, vec<T> n) {
  constexpr int mantissa = sizeof(T) == 4 ? 23 : 52, bias = sizeof(T) == 4 ? 127 : 1023;
  const vec<T> integer = broadcast(sizeof(T) == 4 ? static_cast<T>(0x1.8p23) : static_cast<T>(0x1.8p52));
  const uvec<T> whole = reinterpret_cast<uvec<T>>(n + integer) - reinterpret_cast<uvec<T>>(integer), exponent = whole + 2 * bias;  // biased twice
  const uvec<T> half = exponent >> 1;
  return x * reinterpret_cast<vec<T>>(half << mantissa) * reinterpret_cast<vec<T>>((exponent - half) << mantissa);
}

SEPCONV_INLINE vec<float> scale(vec<float> x, vec<float> n) { return scale_in_two_steps<float>(x, n); }
SEPCONV_INLINE vec<double> scale(vec<double> x, vec<double> n) { return scale_in_two_steps<double>(x, n); }

}  // namespace SEPCONV_ISA
}  // namespace sepconv
