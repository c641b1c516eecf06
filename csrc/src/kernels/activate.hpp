// Elementwise functions over an array, in place. Each is a struct with one function of a vector; which one runs is decided
// outside the loop. NaN passes. At infinity they give what Keras's formulas give: those that multiply x by a limit of 0 are NaN
// at -inf.
#pragma once

#include "sepconv/sepconv.h"
#include "simd/math.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

template <class T>
struct activation_params {
  vec<T> p, q, r;
};

struct relu {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>&) {
    return at_least(x, vec<T>{});
  }
};

struct relu6 {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>&) {
    return clamp<T>(x, vec<T>{}, broadcast(T(6)));
  }
};

struct hard_tanh {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>&) {
    return clamp<T>(x, broadcast(T(-1)), broadcast(T(1)));
  }
};

struct relu_general {  // negative slope, maximum, threshold
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>& g) {
    const vec<T> infinity = broadcast(static_cast<T>(__builtin_inf()));
    const vec<T> floor = select<T>(g.p == vec<T>{}, vec<T>{}, -infinity);  // 0 * -inf would be NaN
    return select<T>(x > g.r, at_most(x, g.q), g.p * at_least(x - g.r, floor));
  }
};

struct leaky_relu {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>& g) {
    return select<T>(x < vec<T>{}, g.p * x, x);
  }
};

struct elu {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>& g) {
    return select<T>(x > vec<T>{}, x, g.p * expm1_below<T>(x));
  }
};

struct celu {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>& g) {
    return select<T>(x > vec<T>{}, x, g.p * expm1<T>(x / g.p));
  }
};

struct selu {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>&) {
    constexpr T scale = static_cast<T>(1.0507009873554805), scale_alpha = static_cast<T>(1.0507009873554805 * 1.6732632423543772);
    return select<T>(x > vec<T>{}, scale * x, scale_alpha * expm1_below<T>(x));
  }
};

struct softplus {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>&) {
    return at_least(x, vec<T>{}) + log1p<T>(exp_below<T>(-absolute<T>(x)));
  }
};

struct softsign {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>&) {
    return x / (absolute<T>(x) + T(1));
  }
};

struct squareplus {  // (x + sqrt(x^2 + b)) / 2, without its cancellation below 0 and without overflow of the square
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>& g) {
    constexpr T most = sizeof(T) == 4 ? T(0x1p63) : T(0x1p511);  // b vanishes beside its square
    const vec<T> a = absolute<T>(x), half = x * T(0.5);
    const vec<T> half_root = select<T>(a > most, a, sqrt(fma(x, x, g.p))) * T(0.5);
    const vec<T> numerator = fma(x, vec<T>{}, g.p * T(0.25));  // NaN at -inf
    return select<T>(x < vec<T>{}, numerator / (half_root - half), half_root + half);
  }
};

struct soft_shrink {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>& g) {
    return select<T>(x > g.p, x - g.p, select<T>(x < -g.p, x + g.p, x * vec<T>{}));
  }
};

struct hard_shrink {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>& g) {
    return select<T>(absolute<T>(x) <= g.p, vec<T>{}, x);
  }
};

struct sparse_plus {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>&) {
    const vec<T> s = x + T(1);
    return select<T>(x <= T(-1), vec<T>{}, select<T>(x >= T(1), x, s * s * T(0.25)));
  }
};

struct silu {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>&) {
    const logistic<T> e(x);
    return x / e.divisor * e.unit;
  }
};

struct gelu {  // x - x P(Z > x), or x P(Z > -x)
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>&) {
    const vec<T> step = select<T>(x > vec<T>{}, broadcast(T(1)), vec<T>{});
    return fma(x, step, -normal_tail<T>(absolute<T>(x)));
  }
};

struct gelu_tanh {  // x * sigmoid(u), u = k x + c x^3, k = 2 sqrt(2 / pi), c = 0.044715 k
  // u is kept in two parts, or its rounding would be multiplied by u; so are k and c. The last bits of k_high are zero, which
  // makes k - w exact.
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>&) {
    constexpr bool single = sizeof(T) == 4;
    constexpr T k_high = single ? T(1.59576892852783203125) : T(1.595769121605730589408267);
    constexpr T k_low = single ? T(1.9307789868050978e-7) : T(1.2235151683392210494e-16);
    constexpr T c_high = T(0.07135481627260024877637752);
    constexpr T c_low = single ? T(2.3988324e-9) : T(-6.1751499181553155e-19);
    constexpr T most = single ? T(12) : T(22);  // the divisor is infinite from here
    const vec<T> k = broadcast(k_high), c = broadcast(c_high);
    const vec<T> a = clamp<T>(x, broadcast(-most), broadcast(most));
    const vec<T> square = a * a, square_low = fma(a, a, -square);
    const vec<T> w = fma(square, c, k);
    const vec<T> rest = fma(square_low, c, square * c_low) + k_low;
    const vec<T> w_low = fma(square, c, k - w) + rest;
    const vec<T> u = a * w, u_low = fma(a, w_low, fma(a, w, -u));
    const logistic<T> e(u, u_low);
    return x / e.divisor * e.unit;
  }
};

struct hyperbolic_tangent {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>&) {
    return tanh<T>(x);
  }
};

struct tanh_shrink {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>&) {
    return x - tanh<T>(x);
  }
};

struct threshold {  // threshold, what replaces x up to it
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>& g) {
    return select<T>(x <= g.p, g.q, x);
  }
};

struct sigmoid {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>&) {
    const logistic<T> e(x);
    return e.unit / e.divisor;
  }
};

struct sparse_sigmoid {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>&) {
    return clamp<T>((x + T(1)) * T(0.5), vec<T>{}, broadcast(T(1)));
  }
};

struct exponential {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>&) {
    return exp<T>(x);
  }
};

struct hard_sigmoid {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>&) {
    return clamp<T>(x + T(3), vec<T>{}, broadcast(T(6))) * static_cast<T>(1.0 / 6);
  }
};

struct hard_silu {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>& g) {
    return x * hard_sigmoid::of<T>(x, g);
  }
};

struct mish {  // x * tanh(log(1 + 1 / e)) = x / (1 + e (1 - 1 / (1 + 2 e))), e = e^-x
  template <class T>
  static SEPCONV_INLINE vec<T> divisor(const logistic<T>& e) {
    return fma(e.power, T(1) - e.unit / (e.power + e.divisor), e.unit);
  }

  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>&) {
    const logistic<T> e(x);
    return x / divisor<T>(e) * e.unit;
  }
};

struct log_sigmoid {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>&) {
    return at_most(x, vec<T>{}) - log1p<T>(exp_below<T>(-absolute<T>(x)));
  }
};

template <class T>
struct activated_rows {
  T* data;
  ptrdiff_t row;
  int64_t rows, count;
};

template <class F, class T>
static __attribute__((noinline)) void map(const double* params, activated_rows<T> x) {
  const activation_params<T> g = {broadcast(static_cast<T>(params[0])), broadcast(static_cast<T>(params[1])),
                                  broadcast(static_cast<T>(params[2]))};
  for (; x.rows > 0; --x.rows, x.data += x.row) {
    T* data = x.data;
    for (int64_t left = x.count; left > 0; data += lanes<T>, left -= lanes<T>) {  // the tail is a branch: the function stands once
      const vec<T> y = F::template of<T>(left >= lanes<T> ? load(data) : load_partial(data, left), g);
      if (left >= lanes<T>)
        store(data, y);
      else
        store_partial(data, y, left);
    }
  }
}

template <class T>
static void activate(int32_t kind, const double* params, void* data, ptrdiff_t row, int64_t rows, int64_t count) {
  const bool gapless = row == count;
  const activated_rows<T> x = {static_cast<T*>(data), row, gapless ? 1 : rows, gapless ? rows * count : count};
  switch (kind) {
    case SEPCONV_RELU: return map<relu>(params, x);
    case SEPCONV_RELU6: return map<relu6>(params, x);
    case SEPCONV_HARD_TANH: return map<hard_tanh>(params, x);
    case SEPCONV_RELU_GENERAL: return map<relu_general>(params, x);
    case SEPCONV_LEAKY_RELU: return map<leaky_relu>(params, x);
    case SEPCONV_ELU: return map<elu>(params, x);
    case SEPCONV_CELU: return map<celu>(params, x);
    case SEPCONV_SELU: return map<selu>(params, x);
    case SEPCONV_SOFTPLUS: return map<softplus>(params, x);
    case SEPCONV_SOFTSIGN: return map<softsign>(params, x);
    case SEPCONV_SQUAREPLUS: return map<squareplus>(params, x);
    case SEPCONV_SOFT_SHRINK: return map<soft_shrink>(params, x);
    case SEPCONV_HARD_SHRINK: return map<hard_shrink>(params, x);
    case SEPCONV_SPARSE_PLUS: return map<sparse_plus>(params, x);
    case SEPCONV_SILU: return map<silu>(params, x);
    case SEPCONV_GELU: return map<gelu>(params, x);
    case SEPCONV_GELU_TANH: return map<gelu_tanh>(params, x);
    case SEPCONV_TANH: return map<hyperbolic_tangent>(params, x);
    case SEPCONV_TANH_SHRINK: return map<tanh_shrink>(params, x);
    case SEPCONV_THRESHOLD: return map<threshold>(params, x);
    case SEPCONV_SIGMOID: return map<sigmoid>(params, x);
    case SEPCONV_SPARSE_SIGMOID: return map<sparse_sigmoid>(params, x);
    case SEPCONV_EXPONENTIAL: return map<exponential>(params, x);
    case SEPCONV_HARD_SIGMOID: return map<hard_sigmoid>(params, x);
    case SEPCONV_HARD_SILU: return map<hard_silu>(params, x);
    case SEPCONV_MISH: return map<mish>(params, x);
    case SEPCONV_LOG_SIGMOID: return map<log_sigmoid>(params, x);
    default: return;  // linear
  }
}

}  // namespace SEPCONV_ISA
}  // namespace sepconv
