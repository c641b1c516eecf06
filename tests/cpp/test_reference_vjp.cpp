// The oracle of gradients, against differences of the other oracle, and on numbers that can be checked by hand.
#include "op/reference_vjp.hpp"

#include "vjp.hpp"

using namespace test;

TEST(reference_vjp, by_hand) {
  sepconv_spec spec = spec_of(SEPCONV_DEPTHWISE, {1, 1, 3, 1});
  spec.kernel[0] = 1;
  spec.kernel[1] = 2;
  tensors t;
  t.input = {1, 2, 3};
  t.depthwise = {5, 7};
  const gradients g = reference_gradients(spec, t, {10, 100}, every_gradient(spec.op));
  EXPECT_EQ(g.input, (std::vector<double>{50, 70 + 500, 700}));
  EXPECT_EQ(g.depthwise, (std::vector<double>{10 + 200, 20 + 300}));
  EXPECT_EQ(g.bias, (std::vector<double>{110}));
  spec.op = SEPCONV_POINTWISE;
  spec.kernel[1] = 1;
  spec.filters = 1;
  spec.activation.kind = SEPCONV_RELU;
  t.depthwise.clear();
  t.pointwise = {-1};
  t.bias = {2};  // outputs 1, 0, -1
  const gradients p = reference_gradients(spec, t, {1, 10, 100}, every_gradient(spec.op));
  EXPECT_EQ(p.input, (std::vector<double>{-1, 0, 0}));
  EXPECT_EQ(p.pointwise, (std::vector<double>{1}));
  EXPECT_EQ(p.bias, (std::vector<double>{1}));
}

// d sum(up * y) / d element, by central differences, of every element of everything.
TEST(reference_vjp, is_the_slope_of_the_reference) {
  for (int64_t i = 0; i < 60; ++i) {
    sepconv_spec spec = draw_case(i, 21);
    spec.dtype = SEPCONV_FLOAT64;
    spec.layout = SEPCONV_CHANNELS_LAST;
    spec.input_shape[2] = std::min<int64_t>(spec.input_shape[2], 9);
    spec.input_shape[3] = (spec.input_shape[3] - 1) % 3 + 1;
    spec.multiplier = std::min<int64_t>(spec.multiplier, 2);
    spec.filters = spec.filters ? (spec.filters - 1) % 3 + 1 : 0;
    spec.activation = {i % 2 ? SEPCONV_TANH : SEPCONV_SILU, 0, {}};
    spec.depthwise_activation = {spec.op == SEPCONV_SEPARABLE ? SEPCONV_SOFTSIGN : SEPCONV_LINEAR, 0, {}};
    spec.padding = SEPCONV_SAME;
    tensors t = make_tensors(spec, kind::normal, static_cast<uint64_t>(i));
    for (std::vector<double>* v : {&t.depthwise, &t.pointwise})
      for (double& x : *v) x /= 4;
    generator r(static_cast<uint64_t>(i));
    const std::vector<double> up = values(r, count_of(output_shape(spec)), kind::normal, 4, SEPCONV_FLOAT64);
    const gradients g = reference_gradients(spec, t, up, every_gradient(spec.op));
    std::vector<double>* variables[] = {&t.input, &t.depthwise, &t.depthwise_bias, &t.pointwise, &t.bias};
    const auto loss = [&] {
      const std::vector<double> y = reference(spec, t);
      double sum = 0;
      for (std::size_t k = 0; k < y.size(); ++k) sum += y[k] * up[k];
      return sum;
    };
    for (std::size_t v = 0; v < 5; ++v)
      for (std::size_t k = 0; k < g.all()[v]->size(); ++k) {
        double& x = (*variables[v])[k];
        const double h = 1e-5, at = x;
        x = at + h;
        const double above = loss();
        x = at - h;
        const double below = loss();
        x = at;
        ASSERT_NEAR((*g.all()[v])[k], (above - below) / (2 * h), 1e-6 * (1 + std::fabs((*g.all()[v])[k])))
            << gradient_name(v) << ' ' << k << ' ' << describe(spec);
      }
  }
}
