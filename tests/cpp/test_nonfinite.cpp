// NaN, infinities and denormals: the class of every output is the reference's, and the caller's floating-point modes change nothing.
#include "cases.hpp"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

using namespace test;

namespace {

#if defined(__x86_64__)
constexpr unsigned flushing = 0x8040;  // FTZ and DAZ
unsigned get_modes() { return _mm_getcsr() & ~0x3fu; }  // without the sticky exception flags
void set_modes(unsigned modes) { _mm_setcsr(modes); }
#elif defined(__aarch64__)
constexpr uint64_t flushing = 1 << 24;  // FZ
uint64_t get_modes() {
  uint64_t modes;
  asm volatile("mrs %0, fpcr" : "=r"(modes));
  return modes;
}
void set_modes(uint64_t modes) { asm volatile("msr fpcr, %0" ::"r"(modes)); }
#endif

// 0 finite, 1 and -1 the infinities, 2 NaN
int class_of(double x) { return std::isnan(x) ? 2 : std::isinf(x) ? (x > 0 ? 1 : -1) : 0; }

}  // namespace

TEST(nonfinite, classes_are_the_references) {
  const double specials[] = {NAN, INFINITY, -INFINITY};
  const int64_t cases = sample(900);
  int64_t special = 0, finite = 0;
  for (int64_t i = 0; i < cases; ++i) {
    sepconv_spec spec = draw_case(i, 31);
    tensors t = make_tensors(spec, kind::integers, static_cast<uint64_t>(i));
    generator r(static_cast<uint64_t>(i));
    const int64_t places = r.between(1, 3);
    for (int64_t k = 0; k < places; ++k)
      t.input[static_cast<std::size_t>(r.between(0, static_cast<int64_t>(t.input.size()) - 1))] = r.pick(specials);
    const std::vector<double> expected = stored_reference(spec, t);
    for (const std::string& isa : isas()) {
      const std::vector<double> got = run_on(isa, spec, t);
      for (std::size_t e = 0; e < got.size(); ++e) {
        ASSERT_EQ(class_of(got[e]), class_of(expected[e])) << "element " << e << "\n" << isa << ' ' << describe(spec);
        if (class_of(expected[e]) == 0) {
          ASSERT_EQ(got[e], expected[e]) << "element " << e << "\n" << isa << ' ' << describe(spec);
        }
        (class_of(expected[e]) ? special : finite) += 1;
      }
    }
  }
  EXPECT_GT(special, 1000);
  EXPECT_GT(finite, 1000);
}

TEST(nonfinite, clamps_pass_nan) {
  for (int32_t kind_of : {SEPCONV_LINEAR, SEPCONV_RELU, SEPCONV_RELU6, SEPCONV_HARD_TANH})
    for (const std::string& isa : isas()) {
      sepconv_spec spec = spec_of(SEPCONV_SEPARABLE, {1, 3, 20, 5}, 3);
      spec.kernel[0] = spec.kernel[1] = 1;
      spec.activation.kind = spec.depthwise_activation.kind = kind_of;
      tensors t = make_tensors(spec, kind::integers, 1);
      t.input[7 * 5 + 2] = NAN;
      const std::vector<double> got = run_on(isa, spec, t);
      for (std::size_t e = 0; e < got.size(); ++e) EXPECT_EQ(std::isnan(got[e]), e / 3 == 7) << isa << ' ' << describe(spec);
    }
}

// Integers times the smallest denormal: sums are exact, so the reference is met to the bit, unless something is flushed to zero.
TEST(nonfinite, denormals_whatever_the_callers_modes) {
  for (sepconv_op op : {SEPCONV_SEPARABLE, SEPCONV_DEPTHWISE, SEPCONV_POINTWISE})
    for (int32_t dtype : dtypes)
      for (int32_t layout : {SEPCONV_CHANNELS_LAST, SEPCONV_CHANNELS_FIRST})
        for (int32_t threads : {1, 4}) {
          sepconv_spec spec = spec_of(op, {1, 16, 17, 19}, 64);
          spec.dtype = dtype;
          spec.layout = layout;
          spec.num_threads = threads;
          spec.padding = SEPCONV_SAME;
          tensors t = make_tensors(spec, kind::integers, 3, false);
          const float_format f = format_of(dtype);
          const double least = std::ldexp(1, f.least_exponent - f.precision + 1);
          for (double& x : t.input) x *= least;
          const std::vector<double> expected = stored_reference(spec, t);
          ASSERT_TRUE(std::any_of(expected.begin(), expected.end(), [](double x) { return x != 0; }));
          for (const std::string& isa : isas()) {
            spec.isa = isa.c_str();
            const sepconv::plan plan(spec);
            const weight_arrays weights(t, sum_dtype(dtype), flush::back);
            const sepconv::pack pack = plan.make_pack(weights.view);
            const quad out = output_shape(spec);
            strided_array input({1, 16, 17, 19}, contiguous_strides({1, 16, 17, 19}, layout), dtype, flush::back);
            strided_array output(out, contiguous_strides(out, layout), dtype, flush::back);
            input.set(t.input);
            guarded workspace(plan.workspace_size(), flush::back);
            const auto before = get_modes();
            set_modes(before | flushing);
            const sepconv_status status =
                sepconv_run(plan.get(), pack.get(), input.origin(), output.origin(), workspace.get());
            const auto after = get_modes();
            set_modes(before);
            ASSERT_EQ(status, SEPCONV_OK);
            EXPECT_EQ(after, before | flushing) << "the caller's modes changed";
            const std::vector<double> got = output.values();
            ASSERT_TRUE(same(got, expected)) << difference(got, expected) << "\n" << isa << ' ' << describe(spec);
          }
        }
}

TEST(nonfinite, the_library_leaves_denormals_alone_when_loaded) {
  volatile float tiny = 1e-40f, one = 1;
  EXPECT_NE(tiny * one, 0.0f);
}
