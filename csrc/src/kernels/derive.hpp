// Derivatives of the elementwise functions: the gradient of an output becomes that of the argument, in place. `of` is the output where
// the derivative follows from it, else the argument; derivative_source() in plan/vjp.hpp says which.
//
// At a kink the derivative is that of the flat or the lower side. Where it is 0, so is the result, whatever the gradient.
#pragma once

#include "kernels/activate.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

#if SEPCONV_ISA_NUMBER == 1  // for the size of its code
#define SEPCONV_SHARED static __attribute__((noinline))
#else
#define SEPCONV_SHARED SEPCONV_INLINE
#endif

template <class T>
SEPCONV_SHARED vec<T> power_of_e(vec<T> x) {
  return exp<T>(x);
}

template <class T>
SEPCONV_SHARED vec<T> power_of_e_less_1(vec<T> x) {
  return expm1<T>(x);
}

#undef SEPCONV_SHARED

template <class T>
SEPCONV_INLINE vec<T> one_if(ivec<T> condition) {
  return select<T>(condition, broadcast(T(1)), vec<T>{});
}

// Of the output.

struct derivative_of_relu {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> y, const activation_params<T>&) {
    return one_if<T>(y > vec<T>{});
  }
};

struct derivative_of_relu6 {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> y, const activation_params<T>&) {
    return one_if<T>((y > vec<T>{}) & (y < T(6)));
  }
};

struct derivative_of_hard_tanh {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> y, const activation_params<T>&) {
    return one_if<T>((y > T(-1)) & (y < T(1)));
  }
};

struct derivative_of_relu_general {  // of output and argument alike
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> v, const activation_params<T>& g) {
    return select<T>(v > g.r, one_if<T>(v < g.q), g.p);
  }
};

struct derivative_of_leaky_relu {  // of output and argument alike
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> v, const activation_params<T>& g) {
    return select<T>(v > vec<T>{}, broadcast(T(1)), g.p);
  }
};

struct derivative_of_elu {  // of the output; with alpha < 0, of the argument
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> v, const activation_params<T>& g) {
    return select<T>(v > vec<T>{}, broadcast(T(1)), select<T>(g.p < vec<T>{}, g.p * power_of_e<T>(v), v + g.p));
  }
};

struct derivative_of_celu {  // likewise
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> v, const activation_params<T>& g) {
    const vec<T> scaled = v / g.p;
    return select<T>(v > vec<T>{}, broadcast(T(1)), select<T>(g.p < vec<T>{}, power_of_e<T>(scaled), scaled + T(1)));
  }
};

struct derivative_of_selu {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> y, const activation_params<T>&) {
    constexpr T scale = static_cast<T>(1.0507009873554805), scale_alpha = static_cast<T>(1.0507009873554805 * 1.6732632423543772);
    return select<T>(y > vec<T>{}, broadcast(scale), y + scale_alpha);
  }
};

struct derivative_of_softplus {  // sigmoid(x) = 1 - e^-y
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> y, const activation_params<T>&) {
    return -power_of_e_less_1<T>(-y);
  }
};

struct derivative_of_softsign {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> y, const activation_params<T>&) {
    const vec<T> rest = T(1) - absolute<T>(y);
    return rest * rest;
  }
};

struct derivative_of_squareplus {  // 1 / (1 + b / (2 y)^2), since x = y - b / (4 y)
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> y, const activation_params<T>& g) {
    const vec<T> quotient = g.p * T(0.25) / y / y;
    return select<T>(y > vec<T>{}, T(1) / (quotient + T(1)), vec<T>{});
  }
};

struct derivative_of_shrink {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> y, const activation_params<T>&) {
    return one_if<T>((y > vec<T>{}) | (y < vec<T>{}));
  }
};

struct derivative_of_sparse_plus {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> y, const activation_params<T>&) {
    return select<T>(y < T(1), sqrt(y), broadcast(T(1)));
  }
};

struct derivative_of_tanh {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> y, const activation_params<T>&) {
    return (T(1) - y) * (y + T(1));
  }
};

struct derivative_of_sigmoid {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> y, const activation_params<T>&) {
    return y * (T(1) - y);
  }
};

struct derivative_of_sparse_sigmoid {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> y, const activation_params<T>&) {
    return one_if<T>((y > vec<T>{}) & (y < T(1))) * T(0.5);
  }
};

struct derivative_of_hard_sigmoid {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> y, const activation_params<T>&) {
    return one_if<T>((y > vec<T>{}) & (y < T(1))) * static_cast<T>(1.0 / 6);
  }
};

struct derivative_of_exponential {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> y, const activation_params<T>&) {
    return y;
  }
};

struct derivative_of_log_sigmoid {  // sigmoid(-x) = 1 - e^y
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> y, const activation_params<T>&) {
    return -power_of_e_less_1<T>(y);
  }
};

// Of the argument. Far out, where only a limit is left, it is held near: 0 * inf would be NaN, and so would the quotient of what is infinite
// in `logistic`.

template <class T>
SEPCONV_INLINE vec<T> held(vec<T> x, T most) {
  return clamp<T>(x, broadcast(-most), broadcast(most));
}

// sigmoid(u) and sigmoid(-u)
template <class T>
struct sigmoids {
  vec<T> up, down;

  SEPCONV_INLINE explicit sigmoids(const logistic<T>& e) : up(e.unit / e.divisor), down(e.power / e.divisor) {}
};

struct derivative_of_silu {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>&) {
    const vec<T> near = held<T>(x, sizeof(T) == 4 ? T(110) : T(750));
    const sigmoids<T> s{logistic<T>(near)};
    return fma(near * s.up, s.down, s.up);
  }
};

struct derivative_of_gelu {  // P(Z < x) + x * density(x)
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>&) {
    using c = math_constants<T>;
    const vec<T> a = at_most(absolute<T>(x), broadcast(c::most_tail));
    const vec<T> power = power_of_e<T>(a * a * T(-0.5));
    const vec<T> divisor = a + c::tail_shift;
    const vec<T> tail = power * polynomial<T>((a - c::tail_shift) / divisor, c::tail) / divisor;
    const vec<T> below = fma(a * power, broadcast(static_cast<T>(-0.39894228040143267794)), tail);  // at -|x|
    return select<T>(x < vec<T>{}, below, T(1) - below);
  }
};

struct derivative_of_gelu_tanh {  // s + x u' s (1 - s), s = sigmoid(u), u = k x + c x^3
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>&) {
    constexpr T k = T(1.5957691216057307117597842), c = T(0.07135481627260024877637752);
    const vec<T> near = held<T>(x, sizeof(T) == 4 ? T(11) : T(21.6));  // u is 113 and 753.6
    const vec<T> square = near * near, u = near * fma(square, broadcast(c), broadcast(k));
    const vec<T> slope = fma(square, broadcast(T(3) * c), broadcast(k));
    const sigmoids<T> s{logistic<T>(u)};
    return fma(near * slope * s.up, s.down, s.up);
  }
};

struct derivative_of_tanh_shrink {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>&) {
    const vec<T> y = tanh<T>(x);
    return y * y;
  }
};

struct derivative_of_threshold {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>& g) {
    return one_if<T>(x > g.p);
  }
};

struct derivative_of_hard_silu {
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>&) {
    return select<T>(x > T(-3), select<T>(x < T(3), fma(x, broadcast(static_cast<T>(1.0 / 3)), broadcast(T(0.5))), broadcast(T(1))),
                     vec<T>{});
  }
};

struct derivative_of_mish {  // w + x sigmoid(x) (1 - w^2), w = tanh(softplus(x))
  template <class T>
  static SEPCONV_INLINE vec<T> of(vec<T> x, const activation_params<T>&) {
    const vec<T> near = held<T>(x, sizeof(T) == 4 ? T(110) : T(760));
    const logistic<T> e(near);
    const vec<T> w = e.unit / mish::divisor<T>(e);
    return fma(near * e.unit / e.divisor, (T(1) - w) * (w + T(1)), w);
  }
};

template <class F, class T>
static __attribute__((noinline)) void map_gradient(const double* params, const T* of, T* gradient, size_t count) {
  const activation_params<T> g = {broadcast(static_cast<T>(params[0])), broadcast(static_cast<T>(params[1])),
                                  broadcast(static_cast<T>(params[2]))};
  for (; count > 0; of += lanes<T>, gradient += lanes<T>) {
    const size_t n = count < size_t{lanes<T>} ? count : size_t{lanes<T>};
    const bool whole = n == size_t{lanes<T>};
    const int64_t part = static_cast<int64_t>(n);
    const vec<T> slope = F::template of<T>(whole ? load(of) : load_partial(of, part), g);
    const vec<T> up = whole ? load(gradient) : load_partial(gradient, part);
    const vec<T> out = select<T>(slope == vec<T>{}, vec<T>{}, up * slope);
    if (whole)
      store(gradient, out);
    else
      store_partial(gradient, out, part);
    count -= n;
  }
}

template <class T>
static void derive(int32_t kind, const double* params, const void* of, void* gradient, size_t count) {
  const T* v = static_cast<const T*>(of);
  T* d = static_cast<T*>(gradient);
  switch (kind) {
    case SEPCONV_RELU: return map_gradient<derivative_of_relu>(params, v, d, count);
    case SEPCONV_RELU6: return map_gradient<derivative_of_relu6>(params, v, d, count);
    case SEPCONV_HARD_TANH: return map_gradient<derivative_of_hard_tanh>(params, v, d, count);
    case SEPCONV_RELU_GENERAL: return map_gradient<derivative_of_relu_general>(params, v, d, count);
    case SEPCONV_LEAKY_RELU: return map_gradient<derivative_of_leaky_relu>(params, v, d, count);
    case SEPCONV_ELU: return map_gradient<derivative_of_elu>(params, v, d, count);
    case SEPCONV_CELU: return map_gradient<derivative_of_celu>(params, v, d, count);
    case SEPCONV_SELU: return map_gradient<derivative_of_selu>(params, v, d, count);
    case SEPCONV_SOFTPLUS: return map_gradient<derivative_of_softplus>(params, v, d, count);
    case SEPCONV_SOFTSIGN: return map_gradient<derivative_of_softsign>(params, v, d, count);
    case SEPCONV_SQUAREPLUS: return map_gradient<derivative_of_squareplus>(params, v, d, count);
    case SEPCONV_SOFT_SHRINK:
    case SEPCONV_HARD_SHRINK: return map_gradient<derivative_of_shrink>(params, v, d, count);
    case SEPCONV_SPARSE_PLUS: return map_gradient<derivative_of_sparse_plus>(params, v, d, count);
    case SEPCONV_SILU: return map_gradient<derivative_of_silu>(params, v, d, count);
    case SEPCONV_GELU: return map_gradient<derivative_of_gelu>(params, v, d, count);
    case SEPCONV_GELU_TANH: return map_gradient<derivative_of_gelu_tanh>(params, v, d, count);
    case SEPCONV_TANH: return map_gradient<derivative_of_tanh>(params, v, d, count);
    case SEPCONV_TANH_SHRINK: return map_gradient<derivative_of_tanh_shrink>(params, v, d, count);
    case SEPCONV_THRESHOLD: return map_gradient<derivative_of_threshold>(params, v, d, count);
    case SEPCONV_SIGMOID: return map_gradient<derivative_of_sigmoid>(params, v, d, count);
    case SEPCONV_SPARSE_SIGMOID: return map_gradient<derivative_of_sparse_sigmoid>(params, v, d, count);
    case SEPCONV_EXPONENTIAL: return map_gradient<derivative_of_exponential>(params, v, d, count);
    case SEPCONV_HARD_SIGMOID: return map_gradient<derivative_of_hard_sigmoid>(params, v, d, count);
    case SEPCONV_HARD_SILU: return map_gradient<derivative_of_hard_silu>(params, v, d, count);
    case SEPCONV_MISH: return map_gradient<derivative_of_mish>(params, v, d, count);
    case SEPCONV_LOG_SIGMOID: return map_gradient<derivative_of_log_sigmoid>(params, v, d, count);
    default: return;  // linear
  }
}

}  // namespace SEPCONV_ISA
}  // namespace sepconv
