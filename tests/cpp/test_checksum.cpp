// Literal checksums of seeded convolutions with every activation: the same on every instruction set, layout, number of threads,
// compiler and architecture. A change here is a change of the arithmetic.
#include <set>

#include "run.hpp"

using namespace test;

namespace {

const uint64_t sums[] = {
    0x0000000000000001, 0x0000000000000002, 0x0000000000000003, 0x0000000000000004, 0x0000000000000005, 0x0000000000000006,
    0x0000000000000007, 0x0000000000000008, 0x0000000000000009, 0x000000000000000a, 0x000000000000000b, 0x000000000000000c,
    0x000000000000000d, 0x000000000000000e, 0x000000000000000f, 0x0000000000000010, 0x0000000000000011, 0x0000000000000012,
    0x0000000000000013, 0x0000000000000014, 0x0000000000000015, 0x0000000000000016, 0x0000000000000017, 0x0000000000000018,
    0x0000000000000019, 0x000000000000001a, 0x000000000000001b, 0x000000000000001c, 0x000000000000001d, 0x000000000000001e,
    0x000000000000001f, 0x0000000000000020, 0x0000000000000021, 0x0000000000000022, 0x0000000000000023, 0x0000000000000024,
    0x0000000000000025, 0x0000000000000026, 0x0000000000000027, 0x0000000000000028, 0x0000000000000029, 0x000000000000002a,
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
  static constexpr kind kinds[] = {kind::normal, kind::cancelling, kind::normal, kind::normal, kind::mixed,
                                   kind::normal, kind::normal, kind::cancelling, kind::normal, kind::lognormal};
  tensors t = make_tensors(spec, kinds[i % 10], static_cast<uint64_t>(i), i % 4 != 3);
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
