// Literal checksums of seeded convolutions with every activation: the same on every instruction set, layout, number of threads,
// compiler and architecture. A change here is a change of the arithmetic.
#include <set>

#include "run.hpp"

using namespace test;

namespace {

const uint64_t sums[] = {
    0x361f16552550fb3c, 0xb23a2e197eec2e2d, 0xb2c9413dc27aee02, 0xa80c69eef7a6e422, 0x2378720af70b9a89, 0x5251ca0aad763ed2,
    0x1bbaedb4169f3d36, 0x57771d861824f76a, 0xafbf1ecd9c652f79, 0xa1c34c4f7c2902f1, 0x249fe5ff8ad402cf, 0x96858de837b6448f,
    0x0182bd36d78e9613, 0xb85da272b8ca8957, 0xa2ec1dfa05a9e994, 0x0e657b1751c27e39, 0x230b59d3c23b8890, 0x62d80d9cd9c419c8,
    0x346fe68ca1caf9e5, 0xa1b6a7de4b2dadf1, 0xb0896d6cc518e5c7, 0xfa3157a92ef434e2, 0xf37dc05d70644485, 0xaed9dd54447a2ca7,
    0x2fa8e411707f69e7, 0xc7404693437a04dd, 0x08d3c84e3ac9de75, 0x8c2f1eb616afba4d, 0x41d8162f449a92ba, 0x199c0599163e33be,
    0x1e155e025bd04170, 0x397c1c90fc8c694d, 0xb9275fc95d489566, 0xf2fd569f6b220ada, 0x240b861bc79b8ea4, 0xb732ea7d437805f7,
    0x10be522981906e87, 0x1b083ef53b3d2ac1, 0xb421a77a285b8533, 0xf2c41e77932e37c6, 0xe7919ae8682841de, 0xcbc082a82b7762cd,
};

constexpr int64_t cases = sizeof(sums) / sizeof(*sums);

// Cases 3 i to 3 i + 2 have the three operators; the two types of sums alternate. Drawn here, so that nothing else changes them.
sepconv_spec spec_of_case(int64_t i) {
  static constexpr int64_t kernels[][2] = {{3, 3}, {5, 5}, {1, 1}, {2, 2}, {7, 7}, {1, 5}, {3, 2}};
  generator r(90000 + static_cast<uint64_t>(i));
  const bool pointwise = i % 3 == SEPCONV_POINTWISE;
  sepconv_spec s = spec_of(static_cast<sepconv_op>(i % 3), {r.between(1, 2), 0, 0, 0});
  s.filters = s.op == SEPCONV_DEPTHWISE ? 0 : r.between(1, 70);
  s.dtype = i / 3 % 2 ? SEPCONV_FLOAT64 : SEPCONV_FLOAT32;
  s.padding = static_cast<int32_t>(i / 6 % 3);
  s.multiplier = pointwise || !r.one_in(3) ? 1 : r.between(2, 4);
  s.input_shape[3] = r.one_in(4) ? r.between(1, 4) : r.between(1, 50);
  const auto& kernel = r.pick(kernels);
  for (int a = 0; a < 2; ++a) {
    s.kernel[a] = pointwise ? 1 : kernel[a];
    s.stride[a] = r.one_in(2) ? 1 : r.between(2, 3);
    s.dilation[a] = r.one_in(2) ? 1 : r.between(2, 3);
    s.input_shape[1 + a] = (s.kernel[a] - 1) * s.dilation[a] + r.between(1, 17);
    s.pad_before[a] = s.padding == SEPCONV_EXPLICIT ? r.between(0, 3) : 0;
    s.pad_after[a] = s.padding == SEPCONV_EXPLICIT ? r.between(0, 3) : 0;
  }
  s.activation = {static_cast<int32_t>(i * 11 % SEPCONV_ACTIVATION_COUNT), 0, {0.25, 5, 0.5}};  // each at least once
  if (s.op == SEPCONV_SEPARABLE)
    s.depthwise_activation = {static_cast<int32_t>(i * 5 % SEPCONV_ACTIVATION_COUNT), 0, {0.25, 5, 0.5}};
  return s;
}

tensors tensors_of_case(const sepconv_spec& spec, int64_t i) {
  tensors t = make_tensors(spec, i % 5 == 1 ? kind::cancelling : kind::normal, static_cast<uint64_t>(i), i % 4 != 3);
  for (double& x : t.input) x *= 0x1p-4;  // sums near 1, where activations differ most
  return t;
}

// Axes from outermost to innermost: width, batch, channels, height; a gap after each.
void set_strides(const int64_t* shape, int64_t* stride) {
  int64_t step = 2;
  for (int axis : {1, 3, 0, 2}) {
    stride[axis] = step;
    step = step * shape[axis] + 1;
  }
}

}  // namespace

TEST(checksum, is_that_of_every_other_machine) {
  for (int64_t i = 0; i < cases; ++i) {
    sepconv_spec spec = spec_of_case(i);
    const tensors t = tensors_of_case(spec, i);
    const quad out = output_shape(spec);
    set_strides(spec.input_shape, spec.input_strides);
    set_strides(out.data(), spec.output_strides);
    for (int32_t layout : {SEPCONV_CHANNELS_LAST, SEPCONV_CHANNELS_FIRST, SEPCONV_STRIDED})
      for (int32_t threads : {1, 3})
        for (const std::string& isa : isas()) {
          spec.layout = layout;
          spec.num_threads = threads;
          const uint64_t got = checksum(run_on(isa, spec, t));
          EXPECT_EQ(got, sums[i]) << "case " << i << " 0x" << std::hex << got << "\n" << isa << ' ' << describe(spec);
        }
  }
}

// No two cases are alike, so none is of nothing but zeros or NaN; and every activation is among them.
TEST(checksum, cases_mean_something) {
  EXPECT_EQ(std::set<uint64_t>(std::begin(sums), std::end(sums)).size(), static_cast<std::size_t>(cases));
  std::set<int32_t> activations;
  for (int64_t i = 0; i < cases; ++i) {
    const sepconv_spec spec = spec_of_case(i);
    activations.insert(spec.activation.kind);
    std::set<uint64_t> distinct;
    const std::vector<double> y = run(spec, tensors_of_case(spec, i));
    for (double x : y) distinct.insert(checksum({x}));
    EXPECT_FALSE(y.size() >= 16 && distinct.size() < 4) << describe(spec);
  }
  EXPECT_EQ(activations.size(), static_cast<std::size_t>(SEPCONV_ACTIVATION_COUNT));
}
