// As boring as the other reference: every product of the forward pass sends its gradient to both of its factors.
#include "op/reference_vjp.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "op/reference.hpp"
#include "pack/widen.hpp"

namespace sepconv {
namespace {

double sigmoid(double x) { return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x)); }
double inside(double x, double lo, double hi) { return x > lo && x < hi ? 1 : 0; }

void add(double* array, int64_t at, double value) {
  if (array) array[at] += value;
}

// What row k of output pixel (n, y, column) sums: visit(input element, tap element).
template <class F>
void for_each_tap(const geometry& g, int64_t n, int64_t y, int64_t column, int64_t k, F&& visit) {
  for (int64_t i = 0; i < g.kernel[0]; ++i)
    for (int64_t j = 0; j < g.kernel[1]; ++j) {
      const int64_t r = y * g.stride[0] + i * g.dilation[0] - g.pad_before[0];
      const int64_t c = column * g.stride[1] + j * g.dilation[1] - g.pad_before[1];
      if (r < 0 || r >= g.input[1] || c < 0 || c >= g.input[2]) continue;
      visit(((n * g.input[1] + r) * g.input[2] + c) * g.channels() + k / g.multiplier, (i * g.kernel[1] + j) * g.depth + k);
    }
}

}  // namespace

double reference_derivative(const sepconv_activation& a, double x) {
  const double p = a.params[0], q = a.params[1], r = a.params[2];
  const double s = sigmoid(x), density = std::exp(-x * x / 2) / std::sqrt(2 * M_PI);
  const double y = reference_activation(a, x);
  switch (a.kind) {
    case SEPCONV_RELU: return x > 0;
    case SEPCONV_RELU6: return inside(x, 0, 6);
    case SEPCONV_HARD_TANH: return inside(x, -1, 1);
    case SEPCONV_RELU_GENERAL: return x > r ? x < q : p;
    case SEPCONV_LEAKY_RELU: return x > 0 ? 1 : p;
    case SEPCONV_ELU: return x > 0 ? 1 : p * std::exp(x);
    case SEPCONV_CELU: return x > 0 ? 1 : std::exp(x / p);
    case SEPCONV_SELU: return 1.0507009873554805 * (x > 0 ? 1 : 1.6732632423543772 * std::exp(x));
    case SEPCONV_SOFTPLUS: return s;
    case SEPCONV_SOFTSIGN: return 1 / ((1 + std::fabs(x)) * (1 + std::fabs(x)));
    case SEPCONV_SQUAREPLUS: return (1 + x / std::sqrt(x * x + p)) / 2;
    case SEPCONV_SOFT_SHRINK:
    case SEPCONV_HARD_SHRINK: return std::fabs(x) > p;
    case SEPCONV_SPARSE_PLUS: return x <= -1 ? 0 : x >= 1 ? 1 : (x + 1) / 2;
    case SEPCONV_SILU: return s + x * s * sigmoid(-x);
    case SEPCONV_GELU: return std::erfc(-x / std::sqrt(2)) / 2 + x * density;
    case SEPCONV_GELU_TANH: {
      const double k = 2 * std::sqrt(2 / M_PI), u = k * (x + 0.044715 * x * x * x);
      return sigmoid(u) + x * k * (1 + 3 * 0.044715 * x * x) * sigmoid(u) * sigmoid(-u);
    }
    case SEPCONV_TANH: return 1 - y * y;
    case SEPCONV_TANH_SHRINK: return std::tanh(x) * std::tanh(x);
    case SEPCONV_THRESHOLD: return x > p;
    case SEPCONV_SIGMOID: return s * sigmoid(-x);
    case SEPCONV_SPARSE_SIGMOID: return inside(x, -1, 1) / 2;
    case SEPCONV_EXPONENTIAL: return y;
    case SEPCONV_HARD_SIGMOID: return inside(x, -3, 3) / 6;
    case SEPCONV_HARD_SILU: return x <= -3 ? 0 : x >= 3 ? 1 : x / 3 + 0.5;
    case SEPCONV_MISH: {
      const double w = std::tanh(std::fmax(x, 0) + std::log1p(std::exp(-std::fabs(x))));
      return w + x * s * (1 - w * w);
    }
    case SEPCONV_LOG_SIGMOID: return sigmoid(-x);
    default: return 1;
  }
}

void reference_vjp(const geometry& g, const sepconv_weights& w, const double* x, const double* dy, const sepconv_gradients& to) {
  double* dx = static_cast<double*>(to.input);
  double* dw = static_cast<double*>(to.depthwise_kernel);
  double* dpw = static_cast<double*>(to.pointwise_kernel);
  if (dx) std::fill_n(dx, g.batch() * g.input[1] * g.input[2] * g.channels(), 0.0);
  if (dw) std::fill_n(dw, g.taps * g.depth, 0.0);
  if (dpw) std::fill_n(dpw, g.depth * g.filters(), 0.0);
  if (to.depthwise_bias) std::fill_n(static_cast<double*>(to.depthwise_bias), g.depth, 0.0);
  if (to.bias) std::fill_n(static_cast<double*>(to.bias), g.filters(), 0.0);
  const auto weight = [&](const void* array, int64_t i, double absent) { return array ? element(array, w.dtype, i) : absent; };
  const std::size_t depth = static_cast<std::size_t>(g.depth);
  std::vector<double> sums(depth), rows(depth), gradients(depth), up(static_cast<std::size_t>(g.filters()));
  for (int64_t n = 0; n < g.batch(); ++n)
    for (int64_t y = 0; y < g.output[1]; ++y)
      for (int64_t c = 0; c < g.output[2]; ++c, dy += g.filters()) {
        for (int64_t k = 0; k < g.depth; ++k) {
          double sum = g.multiplies() ? weight(w.depthwise_bias, k, 0) : 0;
          for_each_tap(g, n, y, c, k, [&](int64_t in, int64_t tap) { sum += x[in] * weight(w.depthwise_kernel, tap, 1); });
          sums[static_cast<std::size_t>(k)] = sum;
          rows[static_cast<std::size_t>(k)] = reference_activation(g.depthwise_activation, sum);
        }
        for (int64_t f = 0; f < g.filters(); ++f) {
          double sum = weight(w.bias, f, 0) + (g.multiplies() ? 0 : rows[static_cast<std::size_t>(f)]);
          for (int64_t k = 0; g.multiplies() && k < g.depth; ++k)
            sum += rows[static_cast<std::size_t>(k)] * element(w.pointwise_kernel, w.dtype, k * g.filters() + f);  // fits: an index
          const double derivative = reference_derivative(g.activation, sum);
          up[static_cast<std::size_t>(f)] = derivative * dy[f];  // fits: floating point
          add(static_cast<double*>(to.bias), f, up[static_cast<std::size_t>(f)]);
        }
        for (int64_t k = 0; k < g.depth; ++k) {
          double d = g.multiplies() ? 0 : up[static_cast<std::size_t>(k)];
          for (int64_t f = 0; g.multiplies() && f < g.filters(); ++f) {
            const double u = up[static_cast<std::size_t>(f)];
            d += u * element(w.pointwise_kernel, w.dtype, k * g.filters() + f);
            add(dpw, k * g.filters() + f, u * rows[static_cast<std::size_t>(k)]);  // fits: an index
          }
          d *= reference_derivative(g.depthwise_activation, sums[static_cast<std::size_t>(k)]);
          add(static_cast<double*>(to.depthwise_bias), k, d);
          for_each_tap(g, n, y, c, k, [&](int64_t in, int64_t tap) {
            add(dx, in, d * weight(w.depthwise_kernel, tap, 1));
            add(dw, tap, d * x[in]);
          });
        }
      }
}

}  // namespace sepconv
