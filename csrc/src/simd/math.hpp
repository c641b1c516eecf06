// The functions that activations are made of, written once over vec<T>. Their bits are the same on every instruction set: nothing
// but the four operations, multiply-add, comparisons and integers; no C library, no estimates.
//
// Polynomials are minimax, found by the exchange algorithm in long arithmetic, their coefficients then rounded to T; lowest power
// first.
#pragma once

#include "simd/simd.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

template <class T>
struct math_constants;

template <>
struct math_constants<float> {
  static constexpr float integer = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, which the low bits then hold
  static constexpr float log2_e = 1.442695041f, ln2 = 0.6931472f, ln2_rest = -1.9046542e-9f;
  static constexpr float least_exp = -112.0f, most_exp = 89.0f;  // below and above, x * e^x is 0 and e^x is infinite
  static constexpr float least_expm1 = -30.0f;                   // e^x - 1 is -1
  static constexpr float most_tanh = 10.0f;                      // tanh is 1 from here
  static constexpr float most_logistic = 40.0f;                  // 1 + e^-x is 1 from here
  static constexpr float most_tail = 14.5f;                      // a * P(Z > a) is 0 from here

  // (e^x - 1 - x) / x^2 on [-ln(2)/2, ln(2)/2], error below 1.4e-9
  static constexpr float exp[] = {5.0e-1f, 1.6666667e-1f, 4.1666463e-2f, 8.333286e-3f, 1.3933732e-3f, 1.9907707e-4f};

  // (log(1 + x) - x) / x^2 on [0, 1], error below 3.6e-9
  static constexpr float log1p[] = {-5.0e-1f,      3.3333257e-1f, -2.4997269e-1f, 1.9961867e-1f,  -1.639142e-1f,
                                    1.3108626e-1f, -9.266251e-2f, 5.0557066e-2f,  -1.7846027e-2f, 2.9480539e-3f};

  // (a + tail_shift) * e^(a^2 / 2) * P(Z > a) in t = (a - tail_shift) / (a + tail_shift), a in [0, 14.5], relative error below 7.2e-9
  static constexpr float tail_shift = 3.5f;
  static constexpr float tail[] = {7.44416074e-1f, -5.65561745e-1f,  3.15425049e-1f,  -1.16053041e-1f, 1.74063785e-2f,
                                   6.49311593e-3f, -3.17531085e-3f, -4.94943683e-4f, 4.21897851e-4f,  1.10689403e-4f};
};

template <>
struct math_constants<double> {
  static constexpr double integer = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr double log2_e = 1.4426950408889634, ln2 = 0.6931471805599453, ln2_rest = 2.3190468138462996e-17;
  static constexpr double least_exp = -753.0, most_exp = 710.0;
  static constexpr double least_expm1 = -40.0;
  static constexpr double most_tanh = 20.0;
  static constexpr double most_logistic = 60.0;
  static constexpr double most_tail = 38.7;

  // error below 1.4e-18
  static constexpr double exp[] = {0.5,
                                   0.1666666666666667,
                                   0.041666666666666685,
                                   0.008333333333326082,
                                   0.001388888888887429,
                                   0.00019841269875003773,
                                   2.4801587347591545e-5,
                                   2.7557255168352456e-6,
                                   2.7557252672159105e-7,
                                   2.5105313336916906e-8,
                                   2.0921669819335872e-9};

  // error below 1.2e-18
  static constexpr double log1p[] = {
      -0.5,
      0.33333333333333215,
      -0.24999999999980033,
      0.1999999999867402,
      -0.16666666619912238,
      0.14285713272677875,
      -0.1249998527440567,
      0.1111095892526194,
      -0.09998835244936817,
      0.09084107375194016,
      -0.08302335808696305,
      0.07580106946388647,
      -0.06815661159204561,
      0.05888455504999677,
      -0.047225342717016824,
      0.03375828083034265,
      -0.02059648824114885,
      0.01024321623646115,
      -0.003936674722655756,
      0.0010872043399795376,
      -0.00019085932258025183,
      1.593166262601983e-5};

  // a in [0, 39], relative error below 2.2e-19
  static constexpr double tail_shift = 5.0;
  static constexpr double tail[] = {
      0.769193049750063,
      -0.6653825028900568,
      0.4953056159699761,
      -0.3135331566712878,
      0.1650203661704071,
      -0.06911863870686637,
      0.020795066799265162,
      -0.002993376762048703,
      -0.0007978693894086611,
      0.0005448989942709572,
      -5.937580613511526e-5,
      -4.9762463769336176e-5,
      1.668163214003535e-5,
      3.979828475635827e-6,
      -2.7706929368059504e-6,
      -3.346183690068775e-7,
      4.362299439558468e-7,
      4.0224692893803485e-8,
      -7.005590846271414e-8,
      -8.573806773733484e-9,
      1.0731390177302577e-8,
      2.211607997647622e-9,
      -1.1394242387525776e-9,
      -3.7347045713771467e-10};
};

template <class T, int N>
SEPCONV_INLINE vec<T> polynomial(vec<T> x, const T (&c)[N]) {
  vec<T> sum = broadcast(c[N - 1]);
  unroll<N - 1>::run([&](auto i) { sum = fma(sum, x, broadcast(c[N - 2 - decltype(i)::value])); });
  return sum;
}

// The same by pairs of powers: a shorter chain, and at most an operation more, for the square.
template <class T, int N>
SEPCONV_INLINE vec<T> polynomial(vec<T> x, vec<T> square, const T (&c)[N]) {
  constexpr int last = (N - 1) / 2 * 2;
  const auto pair = [&](int k) __attribute__((always_inline)) {
    return k + 1 < N ? fma(broadcast(c[k + 1]), x, broadcast(c[k])) : broadcast(c[k]);
  };
  vec<T> sum = pair(last);
  unroll<last / 2>::run([&](auto i) { sum = fma(sum, square, pair(last - 2 - 2 * decltype(i)::value)); });
  return sum;
}

template <class T>
SEPCONV_INLINE vec<T> absolute(vec<T> x) {
  return from_bits<T>(bits<T>(x) & ~bits<T>(broadcast(-T(0))));
}

// |x| with the sign of `sign`
template <class T>
SEPCONV_INLINE vec<T> with_sign(vec<T> x, vec<T> sign) {
  const ivec<T> top = bits<T>(broadcast(-T(0)));
  return from_bits<T>((bits<T>(x) & ~top) | (bits<T>(sign) & top));
}

// unit * 2^n, where unit is a power of two and the product a normal number or 0. `shifted` is n + integer: its low bits are those of n.
template <class T>
SEPCONV_INLINE vec<T> power_of_two(vec<T> shifted, vec<T> unit) {
  const uvec<T> exponent = reinterpret_cast<uvec<T>>(shifted) << (sizeof(T) == 4 ? 23 : 52);  // of other n anything
  return reinterpret_cast<vec<T>>(exponent + reinterpret_cast<uvec<T>>(unit));
}

// A power of two that may overflow or be subnormal is multiplied by in two steps: the first is exact, the second rounds once.
template <class T>
constexpr T huge = T(0x1p64);
template <class T>
constexpr T tiny = T(0x1p-64);

// e^x = (1 + fraction) * 2^n
template <class T>
struct power {
  vec<T> fraction, shifted;
};

// e^(x + low) / 2^n - 1, |low| tiny, n the integer next to x / ln(2). `Low` is a vector or nothing.
template <class T, class... Low>
SEPCONV_INLINE vec<T> exp_fraction(vec<T> x, vec<T> n, Low... low) {
  using c = math_constants<T>;
  const vec<T> rest = broadcast(-c::ln2_rest);
  vec<T> r = fma(n, broadcast(-c::ln2), x);  // exact
  if constexpr (sizeof...(Low) == 0)
    r = fma(n, rest, r);
  else
    r += fma(n, rest, low...);
  const vec<T> square = r * r;
  return fma(square, polynomial<T>(r, square, c::exp), r);
}

// e^(x + low), x between least_exp and most_exp.
template <class T, class... Low>
SEPCONV_INLINE power<T> split_exp(vec<T> x, Low... low) {
  using c = math_constants<T>;
  const vec<T> integer = broadcast(c::integer), shifted = fma(x, broadcast(c::log2_e), integer);
  return {exp_fraction<T>(x, shifted - integer, low...), shifted};
}

// e^x, x below 40.
template <class T>
SEPCONV_INLINE vec<T> exp_below(vec<T> x) {
  const power<T> e = split_exp<T>(at_least(x, broadcast(math_constants<T>::least_exp)));
  return (e.fraction + T(1)) * power_of_two<T>(e.shifted, broadcast(huge<T>)) * tiny<T>;
}

template <class T>
SEPCONV_INLINE vec<T> exp(vec<T> x) {
  using c = math_constants<T>;
  const power<T> e = split_exp<T>(clamp<T>(x, broadcast(c::least_exp), broadcast(c::most_exp)));
  const ivec<T> negative = x < vec<T>{};
  const vec<T> first = select<T>(negative, broadcast(huge<T>), broadcast(tiny<T>));
  const vec<T> second = select<T>(negative, broadcast(tiny<T>), broadcast(huge<T>));
  return (e.fraction + T(1)) * power_of_two<T>(e.shifted, first) * second;
}

// e^x - 1, x from least_expm1 on. With a unit of 1 x is below 88; half of e^x doesn't overflow before e^x does.
template <class T>
SEPCONV_INLINE vec<T> split_expm1(vec<T> x, T unit) {
  const power<T> e = split_exp<T>(x);
  const vec<T> factor = power_of_two<T>(e.shifted, broadcast(unit));
  return fma(e.fraction, factor, factor - unit) * (1 / unit);
}

// e^x - 1, x below 88.
template <class T>
SEPCONV_INLINE vec<T> expm1_below(vec<T> x) {
  return split_expm1<T>(at_least(x, broadcast(math_constants<T>::least_expm1)), 1);
}

template <class T>
SEPCONV_INLINE vec<T> expm1(vec<T> x) {
  using c = math_constants<T>;
  return split_expm1<T>(clamp<T>(x, broadcast(c::least_expm1), broadcast(c::most_exp)), T(0.5));
}

// sigmoid(u) is unit / divisor, sigmoid(-u) is power / divisor: 1, e^-u and their sum, all of them times 2^-64 where u is negative. So no
// power of two overflows before x * sigmoid(x) is 0, and one step scales by it. Where u is less, below -133 or -754, power and divisor are
// infinite, and their quotient NaN; beyond most_logistic power is what it is there. `Low` is added to u.
template <class T>
struct logistic {
  vec<T> unit, power, divisor;

  template <class... Low>
  SEPCONV_INLINE explicit logistic(vec<T> u, Low... low) {
    using c = math_constants<T>;
    constexpr int most = (sizeof(T) == 4 ? 127 : 1023) + 64;
    u = at_most(u, broadcast(c::most_logistic));
    const vec<T> shifted = at_most(fma(u, broadcast(-c::log2_e), broadcast(c::integer)), broadcast(c::integer + T(most)));
    const vec<T> fraction = exp_fraction<T>(-u, shifted - c::integer, -low...);
    unit = select<T>(bits<T>(u) < 0, broadcast(tiny<T>), broadcast(T(1)));
    power = (fraction + T(1)) * power_of_two<T>(shifted, unit);
    divisor = power + unit;
  }
};

// log(1 + x), x in [0, 1]
template <class T>
SEPCONV_INLINE vec<T> log1p(vec<T> x) {
  return fma(x, x * polynomial<T>(x, math_constants<T>::log1p), x);
}

template <class T>
SEPCONV_INLINE vec<T> tanh(vec<T> x) {
  const vec<T> a = at_most(absolute<T>(x), broadcast(math_constants<T>::most_tanh));
  const vec<T> e = split_expm1<T>(a + a, 1);
  return with_sign<T>(e / (e + T(2)), x);
}

// a * P(Z > a), Z standard normal; a >= 0
template <class T>
SEPCONV_INLINE vec<T> normal_tail(vec<T> a) {
  using c = math_constants<T>;
  a = at_most(a, broadcast(c::most_tail));
  const vec<T> half = a * T(-0.5), x = a * half;
  const power<T> e = split_exp<T>(x, fma(a, half, -x));  // or the rounding of x, times x, would be the result's error
  const vec<T> s = a / (a + c::tail_shift);
  const vec<T> t = fma(s, broadcast(T(2)), broadcast(T(-1)));
  const vec<T> tail = s * polynomial<T>(t, t * t, c::tail);
  return fma(tail, e.fraction, tail) * power_of_two<T>(e.shifted, broadcast(huge<T>)) * tiny<T>;
}

}  // namespace SEPCONV_ISA
}  // namespace sepconv
