// Every case of tests/shapes on every instruction set, small integers against the reference. tests/python/test_shapes.py has larger crops;
// this one runs under emulation, too.
#include "../../bench/cpp/cases.hpp"

#include <set>

#include "run.hpp"

using namespace test;

namespace {

// Fewer images, rows and columns where there would be much to do; what the kernels are chosen by stays.
bench::shape_case cropped(bench::shape_case c) {
  constexpr int64_t most = 300000;  // multiply-adds, more or less
  const int64_t work = c.pointwise() ? c.depth() * c.filters : c.depthwise_count();
  const auto least = [&](std::size_t axis) {
    const int64_t reach = c.dilation[axis] * (c.kernel[axis] - 1) + 1;
    return c.padding == "valid" ? reach + c.strides[axis] : 4;
  };
  c.n = std::min<int64_t>(c.n, 2);
  while (c.n * c.h * c.w * work > most && (c.h > least(0) || c.w > least(1))) {
    const bool rows = c.w <= least(1) || (c.h > least(0) && c.h > c.w);
    (rows ? c.h : c.w) = std::max(least(rows ? 0 : 1), (rows ? c.h : c.w) * 3 / 4);
  }
  return c;
}

// Activations that keep integers; the others have tests of their own.
bool exact(int32_t kind) {
  static const std::set<int32_t> kinds = {SEPCONV_LINEAR,    SEPCONV_RELU,        SEPCONV_RELU6,
                                          SEPCONV_HARD_TANH, SEPCONV_HARD_SHRINK, SEPCONV_THRESHOLD};
  return kinds.count(kind) > 0;
}

class shapes : public testing::TestWithParam<std::string> {};

TEST_P(shapes, small_integers_are_exact) {
  const std::vector<bench::shape_case> cases = bench::read_cases(SEPCONV_SHAPES, GetParam());
  EXPECT_GE(cases.size(), 5u);
  int64_t at = 0;
  for (const bench::shape_case& whole : cases) {
    if (left_out(at++)) continue;
    const bench::shape_case c = cropped(whole);
    sepconv_spec spec;
    bench::make_spec(c, 2, &spec);  // false: softmax, which is not the core's
    for (sepconv_activation* a : {&spec.activation, &spec.depthwise_activation})
      if (!exact(a->kind)) *a = {};
    tensors t = make_tensors(spec, kind::integers, std::hash<std::string>()(c.name));
    if (!c.bias) t.bias.clear();
    if (!c.depthwise_bias) t.depthwise_bias.clear();
    const std::vector<double> expected = reference(spec, t);
    EXPECT_FALSE(mostly_zeros(expected)) << c.name;
    for (const std::string& isa : isas()) {
      const std::vector<double> got = run_on(isa, spec, t);
      EXPECT_TRUE(same(got, expected)) << c.name << " on " << isa << ": " << difference(got, expected);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(files, shapes, testing::ValuesIn(bench::families()),
                         [](const testing::TestParamInfo<std::string>& i) { return i.param; });

}  // namespace
