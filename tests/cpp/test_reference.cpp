// The oracle, on numbers that can be checked by hand.
#include "op/reference.hpp"

#include "support.hpp"

using namespace test;

namespace {

tensors none() { return {}; }

double activation(int32_t kind, double x, double p = 0, double q = 0, double r = 0) {
  sepconv_activation a = {};
  a.kind = kind;
  a.params[0] = p;
  a.params[1] = q;
  a.params[2] = r;
  return sepconv::reference_activation(a, x);
}

}  // namespace

TEST(reference, depthwise_by_hand) {
  sepconv_spec spec = spec_of(SEPCONV_DEPTHWISE, {1, 2, 3, 1});
  spec.kernel[0] = spec.kernel[1] = 2;
  tensors t = none();
  t.input = {1, 2, 3, 4, 5, 6};
  t.depthwise = {1, 10, 100, 1000};
  EXPECT_EQ(reference(spec, t), (std::vector<double>{1 + 20 + 400 + 5000, 2 + 30 + 500 + 6000}));
  spec.padding = SEPCONV_SAME;  // the odd row and column of padding go to the bottom and right
  EXPECT_EQ(reference(spec, t), (std::vector<double>{5421, 6532, 3 + 600, 4 + 50, 5 + 60, 6}));
  t.bias = {0.5};
  spec.activation.kind = SEPCONV_RELU6;
  EXPECT_EQ(reference(spec, t), (std::vector<double>(6, 6.0)));
}

TEST(reference, strides_dilations_and_explicit_padding_by_hand) {
  sepconv_spec spec = spec_of(SEPCONV_DEPTHWISE, {1, 1, 5, 1});
  spec.kernel[0] = 1;
  spec.kernel[1] = 2;
  spec.stride[1] = 2;
  spec.dilation[1] = 3;
  spec.padding = SEPCONV_EXPLICIT;
  spec.pad_before[1] = 1;
  spec.pad_after[1] = 2;
  tensors t = none();
  t.input = {1, 2, 3, 4, 5};
  t.depthwise = {1, 10};
  EXPECT_EQ(reference(spec, t), (std::vector<double>{0 + 30, 2 + 50, 4 + 0}));
}

TEST(reference, separable_by_hand) {
  sepconv_spec spec = spec_of(SEPCONV_SEPARABLE, {1, 1, 1, 2}, 2);
  spec.kernel[0] = spec.kernel[1] = 1;
  spec.multiplier = 2;
  spec.depthwise_activation.kind = SEPCONV_RELU;
  tensors t = none();
  t.input = {2, 3};
  t.depthwise = {1, -1, 10, 100};  // (channel, multiplier)
  t.depthwise_bias = {0, 1, 1, -1000};
  t.pointwise = {1, 2, 3, 4, 5, 6, 7, 8};  // (channel * multiplier, filter)
  t.bias = {0.25, 0.5};
  // rows: relu(2), relu(-2 + 1), relu(30 + 1), relu(300 - 1000)
  EXPECT_EQ(reference(spec, t), (std::vector<double>{2 * 1 + 31 * 5 + 0.25, 2 * 2 + 31 * 6 + 0.5}));
}

TEST(reference, pointwise_by_hand_padding_too) {
  sepconv_spec spec = spec_of(SEPCONV_POINTWISE, {1, 1, 2, 2}, 1);
  spec.padding = SEPCONV_EXPLICIT;
  spec.pad_before[1] = spec.pad_after[1] = 1;
  tensors t = none();
  t.input = {1, 2, 3, 4};
  t.pointwise = {10, 100};
  t.bias = {7};
  EXPECT_EQ(reference(spec, t), (std::vector<double>{7, 217, 437, 7}));
}

TEST(reference, activations_at_points_known_by_heart) {
  EXPECT_EQ(activation(SEPCONV_LINEAR, -3.5), -3.5);
  EXPECT_EQ(activation(SEPCONV_RELU, -3), 0);
  EXPECT_EQ(activation(SEPCONV_RELU6, 7), 6);
  EXPECT_EQ(activation(SEPCONV_HARD_TANH, -7), -1);
  EXPECT_EQ(activation(SEPCONV_RELU_GENERAL, 9, 0.1, 6, 1), 6);
  EXPECT_EQ(activation(SEPCONV_RELU_GENERAL, 0, 0.5, 6, 1), -0.5);
  EXPECT_EQ(activation(SEPCONV_LEAKY_RELU, -2, 0.25), -0.5);
  EXPECT_EQ(activation(SEPCONV_ELU, 2, 3), 2);
  EXPECT_DOUBLE_EQ(activation(SEPCONV_ELU, -1, 2), 2 * (std::exp(-1) - 1));
  EXPECT_DOUBLE_EQ(activation(SEPCONV_CELU, -2, 2), 2 * (std::exp(-1) - 1));
  EXPECT_DOUBLE_EQ(activation(SEPCONV_SELU, 1), 1.0507009873554805);
  EXPECT_DOUBLE_EQ(activation(SEPCONV_SOFTPLUS, 0), std::log(2));
  EXPECT_EQ(activation(SEPCONV_SOFTSIGN, -3), -0.75);
  EXPECT_EQ(activation(SEPCONV_SQUAREPLUS, 0, 4), 1);
  EXPECT_EQ(activation(SEPCONV_SOFT_SHRINK, 2, 0.5), 1.5);
  EXPECT_EQ(activation(SEPCONV_SOFT_SHRINK, 0.25, 0.5), 0);
  EXPECT_EQ(activation(SEPCONV_HARD_SHRINK, 0.25, 0.5), 0);
  EXPECT_EQ(activation(SEPCONV_HARD_SHRINK, -2, 0.5), -2);
  EXPECT_EQ(activation(SEPCONV_SPARSE_PLUS, 0), 0.25);
  EXPECT_EQ(activation(SEPCONV_SILU, 0), 0);
  EXPECT_DOUBLE_EQ(activation(SEPCONV_SILU, 1), 1 / (1 + std::exp(-1)));
  EXPECT_DOUBLE_EQ(activation(SEPCONV_GELU, 1), 0.8413447460685429);
  EXPECT_NEAR(activation(SEPCONV_GELU_TANH, 1), 0.8411919906082768, 1e-15);
  EXPECT_DOUBLE_EQ(activation(SEPCONV_TANH, 1), 0.7615941559557649);
  EXPECT_DOUBLE_EQ(activation(SEPCONV_TANH_SHRINK, 1), 1 - 0.7615941559557649);
  EXPECT_EQ(activation(SEPCONV_THRESHOLD, 1, 2, -9), -9);
  EXPECT_EQ(activation(SEPCONV_SIGMOID, 0), 0.5);
  EXPECT_EQ(activation(SEPCONV_SPARSE_SIGMOID, 0.5), 0.75);
  EXPECT_DOUBLE_EQ(activation(SEPCONV_EXPONENTIAL, 1), 2.718281828459045);
  EXPECT_EQ(activation(SEPCONV_HARD_SIGMOID, 1.5), 0.75);
  EXPECT_EQ(activation(SEPCONV_HARD_SILU, 3), 3);
  EXPECT_DOUBLE_EQ(activation(SEPCONV_MISH, 1), 0.8650983882673103);
  EXPECT_DOUBLE_EQ(activation(SEPCONV_LOG_SIGMOID, 0), -std::log(2));
}

// softplus and sigmoid at 0 have no terms to lose; far from it they must not overflow. NaN comes out of every one.
TEST(reference, activations_far_out_and_of_nan) {
  EXPECT_EQ(activation(SEPCONV_SOFTPLUS, 1e4), 1e4);
  EXPECT_EQ(activation(SEPCONV_SIGMOID, -1e4), 0);
  EXPECT_EQ(activation(SEPCONV_LOG_SIGMOID, -1e4), -1e4);
  for (int32_t kind = 0; kind < SEPCONV_ACTIVATION_COUNT; ++kind) EXPECT_TRUE(std::isnan(activation(kind, NAN, 1, 1, 1))) << kind;
}
