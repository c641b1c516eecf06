// Whole operators against the float64 reference, on every instruction set of this machine, between guard pages.
#include "cases.hpp"

using namespace test;

namespace {

// An error bound of each output (checks of rounded data): unit roundoff times the number of roundings of its chains times the sum of
// the magnitudes that pass through them.
std::vector<double> rounding_bounds(sepconv_spec spec, tensors t, const std::vector<double>& expected) {
  const int64_t taps = spec.op == SEPCONV_POINTWISE ? 0 : spec.kernel[0] * spec.kernel[1];
  const int64_t depth = spec.op == SEPCONV_DEPTHWISE ? 0 : spec.input_shape[3] * spec.multiplier;
  // The reference itself rounds products and sums in float64, which counts where the library does, too.
  const double own = spec.dtype == SEPCONV_FLOAT64 ? 3 : 1.001;
  const double roundings = static_cast<double>(taps + depth + 2) * own;
  const double unit = spec.dtype == SEPCONV_FLOAT64 ? 0x1p-53 : 0x1p-24;
  const double least = spec.dtype == SEPCONV_FLOAT64 ? 0x1p-1074 : 0x1p-149;  // sums below the normal range
  for (std::vector<double>* v : {&t.input, &t.depthwise, &t.depthwise_bias, &t.pointwise, &t.bias})
    for (double& x : *v) x = std::fabs(x);
  spec.activation = spec.depthwise_activation = {};  // clamps have Lipschitz constant 1
  std::vector<double> bounds = reference(spec, t);
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    bounds[i] = roundings * (unit * bounds[i] + least);
    if (size_of(spec.dtype) == 2) bounds[i] += ulp(spec.dtype, std::fabs(expected[i]) + bounds[i]) / 2;
  }
  return bounds;
}

void expect_within(const std::vector<double>& got, const std::vector<double>& expected, const std::vector<double>& bounds,
                   int32_t dtype, const std::string& what) {
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double largest = format_of(dtype).largest;
    if (std::fabs(expected[i]) > largest * 0.99 && std::fabs(got[i]) > largest * 0.99) continue;  // storage overflows
    if (!(std::fabs(got[i] - expected[i]) <= bounds[i])) {
      ADD_FAILURE() << what << "\nelement " << i << " of " << got.size() << ": " << got[i] << " instead of " << expected[i]
                    << ", bound " << bounds[i];
      return;
    }
  }
}

// Runs case i everywhere and returns what all agreed on.
std::vector<double> run_everywhere(const sepconv_spec& spec, const tensors& t, int64_t i) {
  std::vector<double> first;
  for (std::size_t k = 0; k < isas().size(); ++k) {
    std::vector<double> got = run_on(isas()[k], spec, t, {(i + static_cast<int64_t>(k)) % 2 ? flush::front : flush::back});
    if (k == 0)
      first = std::move(got);
    else if (!same(got, first))
      ADD_FAILURE() << isas()[k] << " differs from " << isas()[0] << ": " << difference(got, first) << "\n" << describe(spec);
  }
  return first;
}

}  // namespace

TEST(run, small_integers_are_exact) {
  const int64_t cases = sample(12000);
  for (int64_t i = 0; i < cases && !HasFailure(); ++i) {
    const sepconv_spec spec = draw_case(i, 1);
    const exact_case c(spec, static_cast<uint64_t>(i), i % 5 != 0);
    const std::vector<double> got = run_everywhere(spec, c.t, i);
    if (!same(got, c.expected)) ADD_FAILURE() << difference(got, c.expected) << "\ncase " << i << ": " << describe(spec);
  }
}

class rounded : public testing::TestWithParam<kind> {};

TEST_P(rounded, stays_within_the_bound_and_agrees_between_instruction_sets) {
  const int64_t cases = sample(2500);
  for (int64_t i = 0; i < cases && !HasFailure(); ++i) {
    const sepconv_spec spec = draw_case(i, 100 + static_cast<uint64_t>(GetParam()));
    const tensors t = make_tensors(spec, GetParam(), static_cast<uint64_t>(i), i % 5 != 0);
    const std::vector<double> expected = reference(spec, t);
    const std::vector<double> got = run_everywhere(spec, t, i);
    expect_within(got, expected, rounding_bounds(spec, t, expected), spec.dtype, describe(spec));
  }
}

INSTANTIATE_TEST_SUITE_P(data, rounded, testing::Values(kind::normal, kind::lognormal, kind::cancelling, kind::mixed));

// Every width with every number of channels, for each way to gather and multiply: tails of all kinds meet.
TEST(run, every_width_with_every_tail_of_channels) {
  const int64_t most = 4 * widest_block + 1, all = 9 * most * 4;
  const int64_t step = all / sample(all);
  for (int64_t i = 0; i < all && !HasFailure(); i += step) {
    const int64_t width = 1 + i % 9, channels = 1 + i / 9 % most, way = i / 9 / most;
    sepconv_spec spec = spec_of(way < 2 ? SEPCONV_SEPARABLE : SEPCONV_DEPTHWISE, {1, 2, width, channels}, way < 2 ? 1 + i % 37 : 0);
    spec.padding = SEPCONV_SAME;
    spec.layout = way % 2 ? SEPCONV_CHANNELS_FIRST : SEPCONV_CHANNELS_LAST;
    spec.multiplier = 1;
    const exact_case c(spec, static_cast<uint64_t>(i));
    const std::vector<double> got = run_everywhere(spec, c.t, i);
    if (!same(got, c.expected)) ADD_FAILURE() << difference(got, c.expected) << "\n" << describe(spec);
  }
}

// Large enough for several tiles, whole micro-tiles and lanes over pixels, with tails everywhere.
TEST(run, images_of_many_tiles) {
  struct shape {
    sepconv_op op;
    quad input;
    int64_t kernel, stride, dilation, multiplier, filters;
  };
  const shape shapes[] = {
      {SEPCONV_SEPARABLE, {1, 28, 28, 65}, 3, 1, 1, 1, 67},  {SEPCONV_SEPARABLE, {2, 31, 29, 24}, 3, 2, 1, 1, 33},
      {SEPCONV_SEPARABLE, {1, 40, 37, 3}, 3, 1, 1, 8, 35},   {SEPCONV_SEPARABLE, {1, 33, 33, 17}, 3, 1, 6, 1, 3},
      {SEPCONV_POINTWISE, {2, 23, 19, 130}, 1, 1, 1, 1, 71}, {SEPCONV_POINTWISE, {1, 32, 32, 16}, 1, 2, 1, 1, 1},
      {SEPCONV_DEPTHWISE, {1, 56, 56, 33}, 7, 1, 1, 1, 0},   {SEPCONV_DEPTHWISE, {2, 61, 53, 4}, 5, 2, 1, 3, 0},
      {SEPCONV_SEPARABLE, {9, 7, 7, 300}, 3, 1, 1, 1, 40},   {SEPCONV_SEPARABLE, {1, 1, 700, 20}, 1, 1, 1, 2, 20},
      {SEPCONV_DEPTHWISE, {2, 61, 53, 3}, 3, 1, 1, 8, 0},    {SEPCONV_DEPTHWISE, {1, 3, 2500, 5}, 3, 1, 1, 1, 0},
      {SEPCONV_DEPTHWISE, {2, 6, 7, 1024}, 3, 1, 1, 1, 0},   {SEPCONV_POINTWISE, {3, 29, 28, 12}, 1, 1, 1, 1, 9},
      {SEPCONV_POINTWISE, {1, 57, 55, 40}, 1, 1, 1, 1, 24},
  };
  int64_t i = 0;
  for (const shape& s : shapes)
    for (int32_t dtype : dtypes)
      for (int32_t layout : {SEPCONV_CHANNELS_LAST, SEPCONV_CHANNELS_FIRST}) {
        if (left_out(i++)) continue;
        sepconv_spec spec = spec_of(s.op, s.input, s.filters);
        spec.kernel[0] = spec.kernel[1] = s.kernel;
        spec.stride[0] = spec.stride[1] = s.stride;
        spec.dilation[0] = spec.dilation[1] = s.dilation;
        spec.multiplier = s.multiplier;
        spec.padding = SEPCONV_SAME;
        spec.dtype = dtype;
        spec.layout = layout;
        const exact_case c(spec, static_cast<uint64_t>(i));
        const std::vector<double> got = run_everywhere(spec, c.t, i);
        if (!same(got, c.expected)) ADD_FAILURE() << difference(got, c.expected) << "\n" << describe(spec);
      }
}

TEST(run, absent_biases_are_zeros) {
  for (sepconv_op op : {SEPCONV_SEPARABLE, SEPCONV_DEPTHWISE, SEPCONV_POINTWISE}) {
    const sepconv_spec spec = spec_of(op, {1, 5, 6, 19}, 21);
    tensors t = make_tensors(spec, kind::normal, 7, false);
    const std::vector<double> without = run(spec, t);
    t.bias.assign(op == SEPCONV_DEPTHWISE ? 19 : 21, 0.0);
    if (op == SEPCONV_SEPARABLE) t.depthwise_bias.assign(19, 0.0);
    EXPECT_TRUE(same(run(spec, t), without));
  }
}

TEST(run, empty_batch_touches_nothing) {
  for (sepconv_op op : {SEPCONV_SEPARABLE, SEPCONV_DEPTHWISE, SEPCONV_POINTWISE}) {
    const sepconv_spec spec = spec_of(op, {0, 5, 6, 19}, 21);
    const sepconv::plan plan(spec);
    const tensors t = make_tensors(spec, kind::normal, 7);
    const weight_arrays weights(t, SEPCONV_FLOAT32, flush::back);
    const sepconv::pack pack = plan.make_pack(weights.view);
    plan.run(pack, nullptr, nullptr, nullptr);
    EXPECT_EQ(plan.info().output_shape[0], 0);
  }
}
