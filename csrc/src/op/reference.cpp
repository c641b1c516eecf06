// Boring on purpose: nested loops, the formulas as they are written in books.
#include "op/reference.hpp"

#include <cmath>
#include <vector>

#include "pack/widen.hpp"

namespace sepconv {
namespace {

double sigmoid(double x) { return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x)); }
double softplus(double x) { return std::fmax(x, 0) + std::log1p(std::exp(-std::fabs(x))); }
double clip(double x, double lo, double hi) { return x < lo ? lo : x > hi ? hi : x; }

double depthwise(const geometry& g, const sepconv_weights& w, const double* x, int64_t n, int64_t y, int64_t col, int64_t c,
                 int64_t m) {
  double sum = 0;
  for (int64_t i = 0; i < g.kernel[0]; ++i)
    for (int64_t j = 0; j < g.kernel[1]; ++j) {
      const int64_t row = y * g.stride[0] + i * g.dilation[0] - g.pad_before[0];
      const int64_t column = col * g.stride[1] + j * g.dilation[1] - g.pad_before[1];
      if (row < 0 || row >= g.input[1] || column < 0 || column >= g.input[2]) continue;
      const int64_t tap = ((i * g.kernel[1] + j) * g.channels() + c) * g.multiplier + m;  // fits: an index
      const double weight = g.op == SEPCONV_POINTWISE ? 1 : element(w.depthwise_kernel, w.dtype, tap);
      sum += x[((n * g.input[1] + row) * g.input[2] + column) * g.channels() + c] * weight;  // fits: an index
    }
  return sum;
}

}  // namespace

double reference_activation(const sepconv_activation& a, double x) {
  const double p = a.params[0], q = a.params[1], r = a.params[2];
  switch (a.kind) {
    case SEPCONV_RELU: return x < 0 ? 0 : x;
    case SEPCONV_RELU6: return clip(x, 0, 6);
    case SEPCONV_HARD_TANH: return clip(x, -1, 1);
    case SEPCONV_RELU_GENERAL: return std::isnan(x) ? x : x > r ? std::fmin(x, q) : p == 0 ? 0 : p * (x - r);
    case SEPCONV_LEAKY_RELU: return x < 0 ? p * x : x;
    case SEPCONV_ELU: return x > 0 ? x : p * std::expm1(x);
    case SEPCONV_CELU: return x > 0 ? x : p * std::expm1(x / p);
    case SEPCONV_SELU: return 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * std::expm1(x));
    case SEPCONV_SOFTPLUS: return softplus(x);
    case SEPCONV_SOFTSIGN: return x / (1 + std::fabs(x));
    case SEPCONV_SQUAREPLUS: return x / 2 + std::hypot(x / 2, std::sqrt(p) / 2);
    case SEPCONV_SOFT_SHRINK: return x > p ? x - p : x < -p ? x + p : x * 0;
    case SEPCONV_HARD_SHRINK: return std::fabs(x) <= p ? 0 : x;
    case SEPCONV_SPARSE_PLUS: return x <= -1 ? 0 : x >= 1 ? x : (x + 1) * (x + 1) / 4;
    case SEPCONV_SILU: return x * sigmoid(x);
    case SEPCONV_GELU: return x * (std::erfc(-x / std::sqrt(2)) / 2);
    case SEPCONV_GELU_TANH: return x * sigmoid(2 * std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x));
    case SEPCONV_TANH: return std::tanh(x);
    case SEPCONV_TANH_SHRINK: return x - std::tanh(x);
    case SEPCONV_THRESHOLD: return x > p ? x : std::isnan(x) ? x : q;
    case SEPCONV_SIGMOID: return sigmoid(x);
    case SEPCONV_SPARSE_SIGMOID: return clip((x + 1) / 2, 0, 1);
    case SEPCONV_EXPONENTIAL: return std::exp(x);
    case SEPCONV_HARD_SIGMOID: return clip(x / 6 + 0.5, 0, 1);
    case SEPCONV_HARD_SILU: return x * clip(x / 6 + 0.5, 0, 1);
    case SEPCONV_MISH: return x * std::tanh(softplus(x));
    case SEPCONV_LOG_SIGMOID: return -softplus(-x);
    default: return x;
  }
}

void reference(const geometry& g, const sepconv_weights& w, const double* x, double* out) {
  const auto bias = [&](const void* b, int64_t i) { return b ? element(b, w.dtype, i) : 0.0; };
  std::vector<double> rows(static_cast<std::size_t>(g.depth));
  for (int64_t n = 0; n < g.batch(); ++n)
    for (int64_t y = 0; y < g.output[1]; ++y)
      for (int64_t col = 0; col < g.output[2]; ++col, out += g.filters()) {
        for (int64_t k = 0; k < g.depth; ++k) {
          const double sum = depthwise(g, w, x, n, y, col, k / g.multiplier, k % g.multiplier);
          rows[static_cast<std::size_t>(k)] =
              g.multiplies() ? reference_activation(g.depthwise_activation, sum + bias(w.depthwise_bias, k)) : sum;
        }
        for (int64_t f = 0; f < g.filters(); ++f) {
          double sum = g.multiplies() ? 0 : rows[static_cast<std::size_t>(f)];
          for (int64_t k = 0; g.multiplies() && k < g.depth; ++k)
            sum += rows[static_cast<std::size_t>(k)] * element(w.pointwise_kernel, w.dtype, k * g.filters() + f);  // fits: an index
          out[f] = reference_activation(g.activation, sum + bias(w.bias, f));
        }
      }
}

}  // namespace sepconv
