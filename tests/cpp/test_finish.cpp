// Activations inside a convolution: the bits of a separate pass, and within bounds of the reference, in both places.
#include "cases.hpp"

using namespace test;

namespace {

sepconv_activation activation(int32_t kind) {
  sepconv_activation a = {};
  a.kind = kind;
  switch (kind) {
    case SEPCONV_RELU_GENERAL: a.params[0] = 0.25, a.params[1] = 2.5, a.params[2] = 0.5; break;
    case SEPCONV_LEAKY_RELU: a.params[0] = 0.2; break;
    case SEPCONV_ELU: a.params[0] = 1.0; break;
    case SEPCONV_CELU: a.params[0] = 1.5; break;
    case SEPCONV_SQUAREPLUS: a.params[0] = 4; break;
    case SEPCONV_SOFT_SHRINK: a.params[0] = 0.5; break;
    case SEPCONV_HARD_SHRINK: a.params[0] = 0.5; break;
    case SEPCONV_THRESHOLD: a.params[0] = 0.5, a.params[1] = -1; break;
    default: break;
  }
  return a;
}

std::vector<double> activated(std::vector<double> x, const sepconv_activation& a, int32_t dtype) {
  guarded memory(x.size() * size_of(dtype), flush::back);
  for (std::size_t i = 0; i < x.size(); ++i) put(memory.get(), dtype, static_cast<int64_t>(i), x[i]);
  sepconv::check(sepconv_activate(&a, dtype, memory.get(), x.size()));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = get(memory.get(), dtype, static_cast<int64_t>(i));
  return x;
}

const int32_t wide_types[] = {SEPCONV_FLOAT32, SEPCONV_FLOAT64};

}  // namespace

// The last activation is the same function, wherever it is applied: on registers, a micro-tile or scratch rows.
TEST(finish, equals_a_pass_over_the_linear_result) {
  for (int32_t kind_of = 0; kind_of < SEPCONV_ACTIVATION_COUNT; ++kind_of)
    for (int32_t op = 0; op < 3; ++op)
      for (int32_t dtype : wide_types)
        for (int32_t layout : {SEPCONV_CHANNELS_LAST, SEPCONV_CHANNELS_FIRST})
          for (const std::string& isa : isas()) {
            sepconv_spec spec = spec_of(static_cast<sepconv_op>(op), {2, 17, 18, 7}, 19);
            spec.dtype = dtype;
            spec.layout = layout;
            if (op != SEPCONV_POINTWISE) spec.multiplier = 2;
            const tensors t = make_tensors(spec, kind::normal, static_cast<uint64_t>(kind_of));
            const std::vector<double> linear = run_on(isa, spec, t);
            spec.activation = activation(kind_of);
            const std::vector<double> got = run_on(isa, spec, t);
            const std::vector<double> wanted = activated(linear, spec.activation, dtype);
            ASSERT_TRUE(same(got, wanted)) << difference(got, wanted) << "\n" << isa << ' ' << describe(spec);
          }
}

// Between the halves: as if the three layers were computed one after the other. float32 and float64 lose nothing between them.
TEST(finish, between_the_halves_equals_three_layers) {
  for (int32_t kind_of = 0; kind_of < SEPCONV_ACTIVATION_COUNT; ++kind_of)
    for (int32_t dtype : wide_types)
      for (int32_t layout : {SEPCONV_CHANNELS_LAST, SEPCONV_CHANNELS_FIRST})
        for (int64_t side : {5, 19})
          for (const std::string& isa : isas()) {
            sepconv_spec spec = spec_of(SEPCONV_SEPARABLE, {2, side, side, 21}, 19);
            spec.dtype = dtype;
            spec.layout = layout;
            spec.depthwise_activation = activation(kind_of);
            const tensors t = make_tensors(spec, kind::normal, static_cast<uint64_t>(kind_of));
            const std::vector<double> fused = run_on(isa, spec, t);

            sepconv_spec first = spec;
            first.op = SEPCONV_DEPTHWISE;
            first.depthwise_activation = {};
            tensors half = t;
            half.pointwise.clear();
            half.depthwise_bias.clear();
            half.bias = t.depthwise_bias;
            const std::vector<double> rows = activated(run_on(isa, first, half), spec.depthwise_activation, dtype);
            sepconv_spec second = spec_of(SEPCONV_POINTWISE, output_shape(first), 19);
            second.dtype = dtype;
            second.layout = layout;
            half = {};
            half.input = rows;
            half.pointwise = t.pointwise;
            half.bias = t.bias;
            const std::vector<double> apart = run_on(isa, second, half);
            ASSERT_TRUE(same(fused, apart)) << difference(fused, apart) << "\n" << isa << ' ' << describe(spec);
          }
}

// With 16-bit storage the activation sees float32: rounded once, at the end.
TEST(finish, storage_is_rounded_once) {
  for (int32_t kind_of = 0; kind_of < SEPCONV_ACTIVATION_COUNT; ++kind_of)
    for (int32_t dtype : {SEPCONV_FLOAT16, SEPCONV_BFLOAT16})
      for (int32_t op = 0; op < 3; ++op)
        for (int32_t layout : {SEPCONV_CHANNELS_LAST, SEPCONV_CHANNELS_FIRST})
          for (const std::string& isa : isas()) {
            sepconv_spec spec = spec_of(static_cast<sepconv_op>(op), {1, 16, 18, 7}, 19);
            spec.dtype = dtype;
            spec.layout = layout;
            spec.activation = activation(kind_of);
            const tensors t = make_tensors(spec, kind::normal, static_cast<uint64_t>(kind_of));
            const std::vector<double> got = run_on(isa, spec, t);
            spec.dtype = SEPCONV_FLOAT32;
            std::vector<double> wanted = run_on(isa, spec, t);
            for (double& x : wanted) x = round_to(dtype, x);
            ASSERT_TRUE(same(got, wanted)) << difference(got, wanted) << "\n" << isa << ' ' << describe(spec);
          }
}

// Lipschitz constants are at most 1.2 on these kinds; the jump of a threshold is not among them.
TEST(finish, stays_near_the_reference) {
  for (int32_t kind_of = 0; kind_of < SEPCONV_ACTIVATION_COUNT; ++kind_of) {
    if (kind_of == SEPCONV_EXPONENTIAL || kind_of == SEPCONV_THRESHOLD || kind_of == SEPCONV_HARD_SHRINK) continue;
    const double lipschitz = kind_of == SEPCONV_SELU ? 1.76 : kind_of == SEPCONV_HARD_SILU ? 1.5 : 1.2;
    for (int32_t dtype : dtypes) {
      sepconv_spec spec = spec_of(SEPCONV_SEPARABLE, {1, 9, 10, 13}, 19);
      spec.dtype = dtype;
      const tensors t = make_tensors(spec, kind::normal, 77);
      tensors magnitude = t;
      for (std::vector<double>* v : {&magnitude.input, &magnitude.depthwise, &magnitude.depthwise_bias, &magnitude.pointwise, &magnitude.bias})
        for (double& x : *v) x = std::fabs(x);
      const std::vector<double> sums = reference(spec, magnitude);
      spec.activation = activation(kind_of);
      const std::vector<double> expected = reference(spec, t), got = run(spec, t);
      const double unit = dtype == SEPCONV_FLOAT64 ? 3 * 0x1p-53 : 0x1p-24;
      for (std::size_t i = 0; i < got.size(); ++i) {
        double bound = lipschitz * (9 + 13 + 2) * unit * sums[i] + 4 * ulp(sum_dtype(dtype), expected[i]);
        if (size_of(dtype) == 2) bound += ulp(dtype, std::fabs(expected[i]) + bound) / 2;
        ASSERT_LE(std::fabs(got[i] - expected[i]), bound) << describe(spec);
      }
    }
  }
}
