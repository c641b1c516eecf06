// What must not change a bit: threads, repetition, batch, layout, strides of the arrays.
#include "cases.hpp"

using namespace test;

namespace {

struct shape {
  sepconv_op op;
  quad input;
  int64_t kernel, stride, multiplier, filters;
  int32_t layout;
};

sepconv_spec spec_of_shape(const shape& s) {
  sepconv_spec spec = spec_of(s.op, s.input, s.filters);
  spec.kernel[0] = spec.kernel[1] = s.kernel;
  spec.stride[0] = spec.stride[1] = s.stride;
  spec.multiplier = s.multiplier;
  spec.padding = SEPCONV_SAME;
  spec.layout = s.layout;
  return spec;
}

// Work for many threads, shared out by pixels and by filters, in each lane role.
const shape shapes[] = {
    {SEPCONV_SEPARABLE, {1, 56, 56, 64}, 3, 1, 1, 32, SEPCONV_CHANNELS_LAST},
    {SEPCONV_SEPARABLE, {2, 40, 41, 48}, 3, 1, 1, 33, SEPCONV_CHANNELS_FIRST},
    {SEPCONV_SEPARABLE, {1, 5, 5, 96}, 3, 1, 2, 1200, SEPCONV_CHANNELS_LAST},
    {SEPCONV_SEPARABLE, {1, 5, 5, 160}, 3, 1, 1, 1200, SEPCONV_CHANNELS_FIRST},
    {SEPCONV_POINTWISE, {3, 20, 20, 130}, 1, 1, 1, 70, SEPCONV_CHANNELS_LAST},
    {SEPCONV_DEPTHWISE, {1, 57, 59, 67}, 5, 2, 1, 0, SEPCONV_CHANNELS_LAST},
    {SEPCONV_DEPTHWISE, {1, 57, 59, 30}, 5, 1, 2, 0, SEPCONV_CHANNELS_FIRST},
};

}  // namespace

TEST(invariance, threads) {
  int most = 0;
  bool by_filters = false;
  for (const std::string& isa : isas())
    for (const shape& s : shapes) {
      if (isa == "scalar" && (&s - shapes) % 3 != 0) continue;  // slow; its schedule is like the others'
      sepconv_spec spec = spec_of_shape(s);
      const tensors t = make_tensors(spec, kind::normal, 11);
      const std::vector<double> one = run_on(isa, spec, t);
      for (int32_t threads : {2, 3, 4, 7, 8, 16, 64}) {
        spec.num_threads = threads;
        const std::vector<double> got = run_on(isa, spec, t);
        EXPECT_TRUE(same(got, one)) << threads << " threads: " << difference(got, one) << "\n" << isa << ' ' << describe(spec);
        const sepconv_plan_info info = sepconv::plan(spec).info();
        most = std::max(most, info.num_threads);
        by_filters = by_filters || std::string(info.split) == "filters";
      }
    }
  EXPECT_GE(most, 32);  // the shapes are large enough to mean something
  EXPECT_TRUE(by_filters);
}

TEST(invariance, repetition) {
  for (const shape& s : {shape{SEPCONV_SEPARABLE, {1, 20, 21, 40}, 3, 1, 1, 40, SEPCONV_CHANNELS_LAST},
                         shape{SEPCONV_SEPARABLE, {1, 7, 7, 64}, 3, 1, 1, 520, SEPCONV_CHANNELS_LAST}}) {
    sepconv_spec spec = spec_of_shape(s);
    spec.num_threads = 4;
    const tensors t = make_tensors(spec, kind::normal, 12);
    const std::vector<double> first = run(spec, t);
    const int64_t repeats = sample(100);
    for (int64_t i = 1; i < repeats; ++i) ASSERT_TRUE(same(run(spec, t), first)) << "repeat " << i;
  }
}

TEST(invariance, batch) {
  const int64_t cases = sample(300);
  for (int64_t i = 0; i < cases; ++i) {
    sepconv_spec spec = draw_case(i, 21);
    if (spec.layout == SEPCONV_STRIDED) continue;
    spec.input_shape[0] = 5;
    const tensors t = make_tensors(spec, kind::normal, static_cast<uint64_t>(i));
    const std::vector<double> together = run(spec, t);
    sepconv_spec single = spec;
    single.input_shape[0] = 1;
    const std::size_t in = t.input.size() / 5, out = together.size() / 5;
    for (std::size_t n = 0; n < 5; ++n) {
      tensors one = t;
      one.input.assign(t.input.begin() + static_cast<std::ptrdiff_t>(n * in),
                       t.input.begin() + static_cast<std::ptrdiff_t>((n + 1) * in));
      const std::vector<double> alone = run(single, one);
      const std::vector<double> part(together.begin() + static_cast<std::ptrdiff_t>(n * out),
                                     together.begin() + static_cast<std::ptrdiff_t>((n + 1) * out));
      ASSERT_TRUE(same(alone, part)) << difference(alone, part) << "\n" << describe(spec);
    }
  }
}

TEST(invariance, layout_and_strides) {
  const int64_t cases = sample(600);
  for (int64_t i = 0; i < cases; ++i) {
    sepconv_spec spec = draw_case(i, 22);
    spec.layout = SEPCONV_CHANNELS_LAST;
    const tensors t = make_tensors(spec, kind::normal, static_cast<uint64_t>(i));
    const std::vector<double> last = run(spec, t);
    spec.layout = SEPCONV_CHANNELS_FIRST;
    const std::vector<double> first = run(spec, t);
    ASSERT_TRUE(same(first, last)) << difference(first, last) << "\n" << describe(spec);
    const quad out = output_shape(spec);
    spec.layout = SEPCONV_STRIDED;
    generator r(static_cast<uint64_t>(i));
    draw_strides(r, spec.input_shape, spec.input_strides);
    draw_strides(r, out.data(), spec.output_strides);
    for (int64_t& stride : spec.input_strides)
      if (r.one_in(2)) stride = -stride;
    const std::vector<double> strided = run(spec, t);
    ASSERT_TRUE(same(strided, last)) << difference(strided, last) << "\n" << describe(spec);
  }
}

// A stride of zero reads the same elements again: as if the array had been repeated along that axis.
TEST(invariance, broadcast_inputs) {
  for (int axis = 0; axis < 4; ++axis)
    for (sepconv_op op : {SEPCONV_SEPARABLE, SEPCONV_DEPTHWISE, SEPCONV_POINTWISE})
      for (int32_t dtype : dtypes) {
        sepconv_spec spec = spec_of(op, {2, 6, 17, 19}, 18);
        spec.dtype = dtype;
        tensors t = make_tensors(spec, kind::normal, 5);
        quad small = {2, 6, 17, 19};
        small[static_cast<std::size_t>(axis)] = 1;
        const quad steps = contiguous_strides(small, SEPCONV_CHANNELS_LAST);
        const std::vector<double> source = t.input;
        for_each_element({2, 6, 17, 19}, [&] {
          quad s = steps;
          s[static_cast<std::size_t>(axis)] = 0;
          return s;
        }(), [&](int64_t at, int64_t offset) { t.input[static_cast<std::size_t>(at)] = source[static_cast<std::size_t>(offset)]; });
        const std::vector<double> dense = run(spec, t);
        const quad out = contiguous_strides(output_shape(spec), SEPCONV_CHANNELS_LAST);
        spec.layout = SEPCONV_STRIDED;
        std::copy(steps.begin(), steps.end(), spec.input_strides);
        spec.input_strides[axis] = 0;
        std::copy(out.begin(), out.end(), spec.output_strides);
        ASSERT_TRUE(same(run(spec, t), dense)) << describe(spec);
      }
}
