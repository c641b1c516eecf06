// Whole convolutions with SEPCONV_PRECISION_BFLOAT16 against its definition, to the bit: rows of float32, rounded, multiplied by pairs.
#include "cases.hpp"
#include "pairs.hpp"

using namespace test;

namespace {

// Rows of the patch matrix in float32, [pixel][channel][multiplier], from this library's own depthwise convolution.
std::vector<double> rows_of(const sepconv_spec& spec, const tensors& t) {
  sepconv_spec half = spec;
  half.op = SEPCONV_DEPTHWISE;
  half.dtype = SEPCONV_FLOAT32;
  half.layout = SEPCONV_CHANNELS_LAST;
  half.activation = spec.depthwise_activation;
  half.depthwise_activation = {};
  half.filters = 0;
  half.precision = SEPCONV_PRECISION_DEFAULT;
  tensors weights = t;
  weights.pointwise.clear();
  weights.bias = t.depthwise_bias;
  weights.depthwise_bias.clear();
  if (spec.op == SEPCONV_POINTWISE) weights.depthwise.assign(static_cast<std::size_t>(spec.input_shape[3]), 1.0);
  return run(half, weights);
}

std::vector<double> defined(const sepconv_spec& spec, const tensors& t) {
  const int64_t channels = spec.input_shape[3], multiplier = std::max<int64_t>(spec.multiplier, 1), depth = channels * multiplier;
  const std::vector<double> rows = rows_of(spec, t);
  std::vector<double> out;
  for (std::size_t pixel = 0; pixel < rows.size() / static_cast<std::size_t>(depth); ++pixel)
    for (int64_t f = 0; f < spec.filters; ++f) {
      float sum = 0;
      for (int64_t m = 0; m < multiplier; ++m)
        for (int64_t c = 0; c < channels; c += 2) {
          const auto row = [&](int64_t i) {
            return i < channels ? rows[pixel * static_cast<std::size_t>(depth) + static_cast<std::size_t>(i * multiplier + m)] : 0;
          };
          const auto weight = [&](int64_t i) {
            return i < channels ? t.pointwise[static_cast<std::size_t>((i * multiplier + m) * spec.filters + f)] : 0;
          };
          sum = add_pair(pair_of(row(c), row(c + 1)), pair_of(weight(c), weight(c + 1)), sum);
        }
      if (!t.bias.empty()) sum += static_cast<float>(t.bias[static_cast<std::size_t>(f)]);
      const auto clamp = [&](double lo, double hi) { sum = clamped<float>(sum, lo, hi); };
      if (spec.activation.kind == SEPCONV_RELU) clamp(0, infinity);
      if (spec.activation.kind == SEPCONV_RELU6) clamp(0, 6);
      if (spec.activation.kind == SEPCONV_HARD_TANH) clamp(-1, 1);
      out.push_back(round_to(spec.dtype, static_cast<double>(sum)));
    }
  return out;
}

void check(const sepconv_spec& spec, kind k, uint64_t seed) {
  const tensors t = make_tensors(spec, k, seed, seed % 3 != 0);
  const std::vector<double> expected = defined(spec, t);
  run_options options;
  options.side = seed % 2 ? flush::back : flush::front;
  for (const std::string& isa : isas()) {
    const std::vector<double> got = run_on(isa, spec, t, options);
    ASSERT_TRUE(same(got, expected)) << difference(got, expected) << "\n" << isa << ' ' << describe(spec);
  }
}

sepconv_spec with_pairs(sepconv_spec spec) {
  spec.precision = SEPCONV_PRECISION_BFLOAT16;
  return spec;
}

}  // namespace

TEST(pair_rows, every_case_on_every_instruction_set) {
  const int64_t cases = sample(3000);
  for (int64_t i = 0; i < cases && !HasFailure(); ++i) {
    sepconv_spec spec = draw_case(i, 31);
    if (spec.op == SEPCONV_DEPTHWISE || spec.dtype == SEPCONV_FLOAT64) continue;
    static constexpr kind kinds[] = {kind::normal, kind::mixed, kind::cancelling, kind::lognormal};
    check(with_pairs(spec), kinds[i / 12 % 4], static_cast<uint64_t>(i));
  }
}

// Pairs at the ends of passes and blocks, in each layout of scratch and role of lanes.
TEST(pair_rows, every_number_of_channels) {
  for (int32_t layout : {SEPCONV_CHANNELS_LAST, SEPCONV_CHANNELS_FIRST})
    for (int64_t size : {5, 17})
      for (int64_t channels = 1; channels <= 68 && !HasFailure(); channels += size == 17 ? 3 : 1) {
        sepconv_spec spec = spec_of(SEPCONV_SEPARABLE, {1, 3, size, channels}, 1 + channels % 35);
        if (size == 17) spec.input_shape[1] = 17;
        spec.multiplier = 1 + channels % 3;
        spec.padding = SEPCONV_SAME;
        spec.layout = layout;
        check(with_pairs(spec), kind::normal, static_cast<uint64_t>(channels));
      }
}

TEST(pair_rows, threads) {
  const struct {
    quad input;
    int64_t multiplier, filters;
    int32_t layout;
  } shapes[] = {{{1, 30, 31, 47}, 1, 40, SEPCONV_CHANNELS_LAST},
                {{1, 30, 31, 47}, 1, 40, SEPCONV_CHANNELS_FIRST},
                {{1, 5, 5, 95}, 2, 1200, SEPCONV_CHANNELS_LAST},
                {{1, 5, 5, 161}, 1, 1200, SEPCONV_CHANNELS_FIRST}};
  bool by_filters = false;
  for (const auto& s : shapes) {
    sepconv_spec spec = with_pairs(spec_of(SEPCONV_SEPARABLE, s.input, s.filters));
    spec.padding = SEPCONV_SAME;
    spec.multiplier = s.multiplier;
    spec.layout = s.layout;
    spec.depthwise_activation.kind = SEPCONV_SILU;
    const tensors t = make_tensors(spec, kind::normal, 7);
    const std::vector<double> one = run(spec, t);
    for (int32_t threads : {2, 3, 4, 7, 16}) {
      spec.num_threads = threads;
      const std::vector<double> got = run(spec, t);
      EXPECT_TRUE(same(got, one)) << threads << " threads: " << difference(got, one) << "\n" << describe(spec);
      by_filters = by_filters || std::string(sepconv::plan(spec).info().split) == "filters";
    }
  }
  EXPECT_TRUE(by_filters);
}

// Operands that bfloat16 makes denormal, or rounds up to the least normal number, on their way through each layout.
TEST(pair_rows, denormals) {
  for (int32_t layout : {SEPCONV_CHANNELS_LAST, SEPCONV_CHANNELS_FIRST})
    for (int64_t size : {4, 20}) {
      sepconv_spec spec = with_pairs(spec_of(SEPCONV_POINTWISE, {1, size, size, 19}, 21));
      spec.layout = layout;
      tensors t = make_tensors(spec, kind::normal, 3);
      generator r(9);
      for (double& x : t.input) x = round_to(SEPCONV_FLOAT32, std::ldexp(x, -static_cast<int>(r.between(120, 130))));
      for (double& x : t.pointwise) x = round_to(SEPCONV_FLOAT32, std::ldexp(x, static_cast<int>(r.between(-3, 8))));
      for (double& x : t.bias) x = round_to(SEPCONV_FLOAT32, std::ldexp(x, -130));
      t.input[0] = std::ldexp(1 - 0x1p-20, -126);
      const std::vector<double> expected = defined(spec, t);
      for (const std::string& isa : isas()) {
        const std::vector<double> got = run_on(isa, spec, t);
        ASSERT_TRUE(same(got, expected)) << difference(got, expected) << "\n" << isa << ' ' << describe(spec);
      }
    }
}

// What lies beyond an odd channel doesn't count, whatever a workspace held: 0 times infinity would show.
TEST(pair_rows, the_odd_channel_stands_alone) {
  for (int32_t layout : {SEPCONV_CHANNELS_LAST, SEPCONV_CHANNELS_FIRST})
    for (int64_t size : {4, 20}) {
      sepconv_spec spec = with_pairs(spec_of(SEPCONV_POINTWISE, {1, size, size, 1}, 3));
      spec.layout = layout;
      tensors t = make_tensors(spec, kind::integers, 1, false);
      for (double& x : t.input) x = infinity;
      for (double& x : t.pointwise) x = 2;
      for (const std::string& isa : isas())
        for (double y : run_on(isa, spec, t)) ASSERT_EQ(y, infinity) << isa;
    }
}

// The documented bound: two roundings to 8 bits, and the sums' own.
TEST(pair_rows, error_stays_within_the_bound) {
  const int64_t cases = sample(600);
  for (int64_t i = 0; i < cases; ++i) {
    sepconv_spec spec = with_pairs(draw_case(i, 32));
    if (spec.op == SEPCONV_DEPTHWISE || spec.dtype != SEPCONV_FLOAT32) continue;
    spec.activation = spec.depthwise_activation = {};
    spec.layout = SEPCONV_CHANNELS_LAST;
    const tensors t = make_tensors(spec, i % 2 ? kind::normal : kind::cancelling, static_cast<uint64_t>(i), false);
    const std::vector<double> got = run(spec, t), rows = rows_of(spec, t);
    const std::size_t depth = static_cast<std::size_t>(spec.input_shape[3] * std::max<int64_t>(spec.multiplier, 1));
    const std::size_t filters = static_cast<std::size_t>(spec.filters);
    for (std::size_t at = 0; at < got.size(); ++at) {
      double sum = 0, size = 0;
      for (std::size_t k = 0; k < depth; ++k) {
        const double term = rows[at / filters * depth + k] * t.pointwise[k * filters + at % filters];
        sum += term;
        size += std::fabs(term);
      }
      const double bound = (0x1p-8 * (2 + 0x1p-8) + static_cast<double>(depth) * 0x1p-23) * size;
      ASSERT_LE(std::fabs(got[at] - sum), bound) << describe(spec);
    }
  }
}
