// Derivatives of every activation, on arrays: against the float64 reference, at every length, with the same bits everywhere.
#include "elementwise.hpp"
#include "op/reference.hpp"
#include "op/reference_vjp.hpp"
#include "plan/vjp.hpp"

namespace {

using test::isas;

std::vector<sepconv_activation> all_activations() {
  std::vector<sepconv_activation> all;
  for (int32_t kind = 0; kind < SEPCONV_ACTIVATION_COUNT; ++kind) all.push_back({kind, 0, {0.5, 6, 0.25}});
  for (sepconv_activation& a : all) {
    if (a.kind == SEPCONV_CELU || a.kind == SEPCONV_ELU) a.params[0] = 1.3;
    if (a.kind == SEPCONV_SQUAREPLUS) a.params[0] = 4;
  }
  // Those that need their argument for other parameters.
  all.insert(all.end(), {{SEPCONV_RELU_GENERAL, 0, {-0.5, 2, 1}}, {SEPCONV_RELU_GENERAL, 0, {0.1, 0.5, 3}},
                         {SEPCONV_RELU_GENERAL, 0, {0, INFINITY, 1}}, {SEPCONV_LEAKY_RELU, 0, {-0.5}}, {SEPCONV_ELU, 0, {-0.5}},
                         {SEPCONV_CELU, 0, {-2}}});
  return all;
}

template <class T>
std::vector<T> derived(const std::string& isa, const sepconv_activation& a, const std::vector<T>& of, std::vector<T> gradient) {
  sepconv::find_isa(isa.c_str()).sets[test::dtype_of<T>]->derive(a.kind, a.params, of.data(), gradient.data(), of.size());
  return gradient;
}

// Arguments, not at kinks, and what the kernel is given for them.
template <class T>
std::vector<T> arguments() {
  std::vector<T> x;
  test::generator r(5);
  for (int i = 0; i < 4000; ++i) x.push_back(static_cast<T>((2 * r.uniform() - 1) * (i % 2 ? 4 : 40)));
  return x;
}

template <class T>
std::vector<T> kept(const sepconv_activation& a, const std::vector<T>& x) {
  std::vector<T> of = x;
  if (sepconv::source_of(a) == sepconv::derivative_source::output) of = test::activated<T>("scalar", a, x);
  return of;
}

template <class T>
void expect_reference() {
  const std::vector<T> x = arguments<T>();
  for (const sepconv_activation& a : all_activations()) {
    if (a.kind == SEPCONV_LINEAR) continue;
    const std::vector<T> of = kept(a, x), ones(x.size(), T(1)), first = derived<T>("scalar", a, of, ones);
    for (const std::string& isa : isas()) EXPECT_TRUE(test::same(derived<T>(isa, a, of, ones), first)) << isa << ' ' << a.kind;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double expected = sepconv::reference_derivative(a, static_cast<double>(x[i]));
      // Where the output says it, the derivative is as exact as the output: near a limit, to a unit of it.
      const double allowed = 32 * static_cast<double>(std::numeric_limits<T>::epsilon()) * std::fmax(1.0, std::fabs(expected));
      ASSERT_NEAR(static_cast<double>(first[i]), expected, allowed) << "kind " << a.kind << " of " << x[i];
    }
  }
}

}  // namespace

TEST(derive, float_matches_reference) { expect_reference<float>(); }
TEST(derive, double_matches_reference) { expect_reference<double>(); }

// The formulas of the reference, against differences of its activations.
TEST(derive, reference_is_the_slope) {
  for (const sepconv_activation& a : all_activations())
    for (const double x : arguments<double>()) {
      const double h = 1e-6 * std::fmax(1.0, std::fabs(x)), y = sepconv::reference_activation(a, x);
      const double slope = (sepconv::reference_activation(a, x + h) - sepconv::reference_activation(a, x - h)) / (2 * h);
      const double derivative = sepconv::reference_derivative(a, x);
      const double far = std::fmax(std::fabs(y) / h * 1e-15, 1e-7 * std::fmax(1.0, std::fabs(slope)));
      const bool kink = std::fabs(sepconv::reference_derivative(a, x + h) - sepconv::reference_derivative(a, x - h)) > 1e-3;
      if (!kink || a.kind == SEPCONV_EXPONENTIAL) {
        EXPECT_NEAR(derivative, slope, far * 4) << "kind " << a.kind << " at " << x;
      }
    }
}

TEST(derive, any_length_touches_nothing_else) {
  for (const std::string& isa : isas())
    for (const sepconv_activation& a : {sepconv_activation{SEPCONV_RELU, 0, {}}, sepconv_activation{SEPCONV_SILU, 0, {}}}) {
      const sepconv::kernel_set& set = *sepconv::find_isa(isa.c_str()).sets[SEPCONV_FLOAT32];
      const std::vector<float> x = arguments<float>(), whole = derived<float>(isa, a, x, std::vector<float>(x.size(), 2));
      for (std::size_t count = 0; count <= 4 * static_cast<std::size_t>(set.lanes) + 1; ++count)
        for (const test::flush side : {test::flush::front, test::flush::back}) {
          const test::guarded of(count * sizeof(float), side), gradient(count * sizeof(float), side);
          std::copy_n(x.begin(), count, of.as<float>());
          std::fill_n(gradient.as<float>(), count, 2.0f);
          set.derive(a.kind, a.params, of.get(), gradient.get(), count);
          EXPECT_TRUE(of.intact() && gradient.intact());
          EXPECT_TRUE(std::equal(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(count), gradient.as<float>())) << isa;
        }
    }
}

// Flat is flat, whatever comes from above.
TEST(derive, nothing_passes_where_the_derivative_is_zero) {
  for (const std::string& isa : isas()) {
    const std::vector<float> got = derived<float>(isa, {SEPCONV_RELU, 0, {}}, {0, -1, 2}, {INFINITY, NAN, INFINITY});
    EXPECT_EQ(got, (std::vector<float>{0, 0, INFINITY}));
  }
}

TEST(derive, far_out_it_has_its_limits) {
  for (const std::string& isa : isas())
    for (const int32_t kind : {SEPCONV_SILU, SEPCONV_GELU, SEPCONV_GELU_TANH, SEPCONV_MISH, SEPCONV_HARD_SILU})
      for (const float x : {1e4f, 3e38f, INFINITY}) {
        const std::vector<float> got = derived<float>(isa, {kind, 0, {}}, {x, -x}, {1, 1});
        EXPECT_NEAR(got[0], 1, 1e-6) << isa << ' ' << kind;
        EXPECT_NEAR(got[1], 0, 1e-6) << isa << ' ' << kind;
      }
}

// Where x * sigmoid(x) and its relatives are 0, their slope is, for every type: nothing passes.
TEST(derive, far_below_nothing_passes) {
  const auto check = [](auto zero) {
    using T = decltype(zero);
    for (const std::string& isa : isas())
      for (const int32_t kind : {SEPCONV_SILU, SEPCONV_GELU_TANH, SEPCONV_MISH})
        for (const T x : {T(-1000), std::numeric_limits<T>::lowest(), T(-INFINITY)})
          EXPECT_EQ(derived<T>(isa, {kind, 0, {}}, {x, x}, {T(INFINITY), T(NAN)}), (std::vector<T>{0, 0})) << isa << ' ' << kind << ' ' << x;
  };
  check(float{});
  check(double{});
}
