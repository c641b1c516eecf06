// exp, expm1, log1p, tanh and the tail of the normal distribution, through the activations that are little else: their errors in
// units in the last place of T, against long double.
#include "elementwise.hpp"

namespace {

using real = long double;

real sigmoid(real x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); }
real softplus(real x) { return (x > 0 ? x : 0) + std::log1p(std::exp(-std::fabs(x))); }

// x P(Z < x). Far below 0 the rounding of erfc's argument, times it, would show in double: it is put back.
real gelu(real x) {
  const real root = x * std::sqrt(0.5L), square = root * root, value = x * std::erfc(-root) / 2;
  if (!(x < 0 && value < 0)) return value;
  return value * std::exp(square - x * x / 2 + (std::fma(root, root, -square) - std::fma(x, x, -x * x) / 2));
}

struct function {
  const char* name;
  sepconv_activation_kind kind;
  real (*exact)(real);
  double ulps;
};

const function functions[] = {
    {"exp", SEPCONV_EXPONENTIAL, [](real x) { return std::exp(x); }, 1.1},
    {"expm1", SEPCONV_ELU, [](real x) { return x > 0 ? x : std::expm1(x); }, 1.25},
    {"log1p", SEPCONV_LOG_SIGMOID, [](real x) { return -softplus(-x); }, 2.25},
    {"softplus", SEPCONV_SOFTPLUS, softplus, 2.25},
    {"tanh", SEPCONV_TANH, [](real x) { return std::tanh(x); }, 2.5},
    {"sigmoid", SEPCONV_SIGMOID, sigmoid, 2.5},
    {"silu", SEPCONV_SILU, [](real x) { return x * sigmoid(x); }, 3},
    {"gelu", SEPCONV_GELU, gelu, 4},
};

void PrintTo(const function& f, std::ostream* out) { *out << f.name; }

template <class T>
real ulp(real y) {
  using limits = std::numeric_limits<T>;
  const int least = limits::min_exponent - 1;
  return std::ldexp(real(1), (y == 0 ? least : std::max(std::ilogb(y), least)) - limits::digits + 1);
}

// Infinity or NaN where the other is not, by T: such a pair has no distance.
template <class T>
bool other_class(T y, real exact) {
  return std::isnan(y) != std::isnan(exact) || (std::isinf(y) && std::fabs(exact) < std::numeric_limits<T>::max()) ||
         (std::isinf(static_cast<T>(exact)) && std::fabs(y) < std::numeric_limits<T>::max());
}

class math : public testing::TestWithParam<function> {};

template <class T>
void expect_accurate(const function& f) {
  const std::vector<T> x = test::samples<T>(test::sample(200000), sizeof(T) == 4 ? 120 : 760);
  std::vector<real> exact;
  for (const T value : x) exact.push_back(f.exact(value));
  for (const std::string& isa : test::isas()) {
    const std::vector<T> y = test::activated<T>(isa, {f.kind, 0, {1, 0, 0}}, x);
    real worst = 0;
    std::size_t at = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const bool finite = std::isfinite(y[i]) && std::isfinite(exact[i]);
      const real error = finite ? std::fabs(y[i] - exact[i]) / ulp<T>(exact[i]) : other_class(y[i], exact[i]) ? HUGE_VALL : 0;
      if (error > worst) {
        worst = error;
        at = i;
      }
    }
    EXPECT_LE(worst, f.ulps) << isa << ": " << f.name << "(" << testing::PrintToString(x[at]) << ") is "
                             << testing::PrintToString(y[at]);
  }
}

TEST_P(math, float_errors) { expect_accurate<float>(GetParam()); }
TEST_P(math, double_errors) { expect_accurate<double>(GetParam()); }

INSTANTIATE_TEST_SUITE_P(all, math, testing::ValuesIn(functions), [](const auto& info) { return info.param.name; });

}  // namespace
