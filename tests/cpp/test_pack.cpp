// Packs: what they depend on, what weights they take, and that kernels read nothing beside them.
#include "pack/pack.hpp"

#include "cases.hpp"
#include "kernels/kernel_types.hpp"
#include "pack/widen.hpp"

using namespace test;

namespace {

int64_t round_up(int64_t a, int64_t b) { return (a + b - 1) / b * b; }

// A copy of a pack, each part in memory of its own that ends where the format ends.
class guarded_pack {
 public:
  guarded_pack(const sepconv_plan& plan, const sepconv_pack& from, flush side) : pack(from) {
    const sepconv::geometry& g = plan.geometry;
    const sepconv::schedule& s = plan.schedule;
    const int64_t size = static_cast<int64_t>(sepconv::sum_size(g.dtype)), block = 64 / size;
    const int64_t padded = round_up(g.channels(), block) * g.multiplier;
    move(pack.blocked, padded * g.taps * size, side);
    move(pack.blocked_bias, padded * size, side);
    move(pack.planar, g.depth * g.taps * size, side);
    move(pack.planar_bias, g.depth * size, side);
    if (!g.multiplies()) {
      move(pack.outputs, (g.depth + block) * g.taps * size, side);
      move(pack.outputs_bias, (g.depth + block) * size, side);
      return;
    }
    const bool over_pixels = s.multiply == sepconv::multiply_lanes::pixels;
    const int64_t wide = over_pixels ? s.rows : s.columns, narrow = over_pixels ? plan.kernels->pixels_rows : plan.kernels->lanes;
    const int64_t columns = g.filters() / wide * round_up(wide, narrow) + round_up(g.filters() % wide, narrow);
    move(pack.panels, s.steps * columns * size, side);
    move(pack.bias, (over_pixels ? g.filters() : columns) * size, side);
  }
  sepconv_pack pack;

 private:
  void move(void*& part, int64_t size, flush side) {
    kept_.push_back(std::make_unique<guarded>(static_cast<std::size_t>(size), side));
    std::memcpy(kept_.back()->get(), part, static_cast<std::size_t>(size));
    kept_.back()->read_only();
    part = kept_.back()->get();
  }
  std::vector<std::unique_ptr<guarded>> kept_;
};

int64_t key_of(const sepconv_spec& spec) { return sepconv::plan(spec).pack_key(); }

}  // namespace

TEST(pack, kernels_read_exactly_the_format) {
  const int64_t cases = sample(2500);
  for (int64_t i = 0; i < cases && !HasFailure(); ++i) {
    sepconv_spec spec = draw_case(i, 61);
    if (spec.layout == SEPCONV_STRIDED) spec.layout = SEPCONV_CHANNELS_FIRST;
    if (i % 4 == 0) spec.input_shape[1] = spec.input_shape[2] = 24;  // large enough for lanes over pixels
    exact_case c(spec, static_cast<uint64_t>(i));
    if (i / 12 % 3 == 0 && spec.dtype != SEPCONV_FLOAT64) {
      spec.precision = SEPCONV_PRECISION_BFLOAT16;
      c.expected = run(spec, c.t);  // not exact any more
    }
    for (const std::string& isa : isas()) {
      spec.isa = isa.c_str();
      const sepconv::plan plan(spec);
      const weight_arrays weights(c.t, sum_dtype(spec.dtype), flush::back);
      const sepconv::pack pack = plan.make_pack(weights.view);
      const flush side = i % 2 ? flush::back : flush::front;
      const guarded_pack copy(*plan.get(), *pack.get(), side);
      const quad in = {spec.input_shape[0], spec.input_shape[1], spec.input_shape[2], spec.input_shape[3]}, out = output_shape(spec);
      strided_array input(in, contiguous_strides(in, spec.layout), spec.dtype, side);
      strided_array output(out, contiguous_strides(out, spec.layout), spec.dtype, side);
      input.set(c.t.input);
      guarded workspace(plan.workspace_size(), side);
      ASSERT_EQ(sepconv_run(plan.get(), &copy.pack, input.origin(), output.origin(), workspace.get()), SEPCONV_OK);
      const std::vector<double> got = output.values();
      if (!same(got, c.expected)) ADD_FAILURE() << difference(got, c.expected) << "\n" << isa << ' ' << describe(spec);
    }
  }
}

TEST(pack, key_does_not_depend_on_space_batch_or_threads) {
  const sepconv_spec spec = spec_of(SEPCONV_SEPARABLE, {1, 40, 40, 24}, 40);
  const int64_t key = key_of(spec);
  sepconv_spec other = spec;
  other.input_shape[0] = 7;
  EXPECT_EQ(key_of(other), key);
  other.input_shape[1] = other.input_shape[2] = 9;
  EXPECT_EQ(key_of(other), key);
  other.num_threads = 8;
  EXPECT_EQ(key_of(other), key);
  other.padding = SEPCONV_SAME;
  other.stride[0] = 2;
  EXPECT_EQ(key_of(other), key);
  for (int32_t dtype : {SEPCONV_FLOAT16, SEPCONV_BFLOAT16}) {  // they sum in float32, too
    other.dtype = dtype;
    EXPECT_EQ(key_of(other), key);
  }
}

TEST(pack, key_tells_apart_what_is_packed_differently) {
  const sepconv_spec spec = spec_of(SEPCONV_SEPARABLE, {1, 40, 40, 24}, 40);
  std::vector<int64_t> keys = {key_of(spec)};
  sepconv_spec other = spec;
  other.dtype = SEPCONV_FLOAT64;
  keys.push_back(key_of(other));
  other = spec;
  other.op = SEPCONV_DEPTHWISE;
  keys.push_back(key_of(other));
  other = spec;
  other.op = SEPCONV_POINTWISE;
  other.kernel[0] = other.kernel[1] = 1;
  keys.push_back(key_of(other));
  other = spec;
  other.layout = SEPCONV_CHANNELS_FIRST;
  keys.push_back(key_of(other));
  other = spec;
  other.precision = SEPCONV_PRECISION_BFLOAT16;
  keys.push_back(key_of(other));
  for (std::size_t i = 1; i < isas().size(); ++i) {
    other = spec;
    other.isa = isas()[i].c_str();
    keys.push_back(key_of(other));
  }
  std::sort(keys.begin(), keys.end());
  EXPECT_EQ(std::unique(keys.begin(), keys.end()), keys.end());
}

// One pack serves every plan with its key: other sizes, batch and threads.
TEST(pack, is_shared_by_plans_of_other_sizes) {
  sepconv_spec small = spec_of(SEPCONV_SEPARABLE, {1, 6, 7, 19}, 21), large = small;
  large.input_shape[0] = 2;
  large.input_shape[1] = 33;
  large.num_threads = 4;
  const exact_case c(large, 5);
  const sepconv::plan maker(small), user(large);
  ASSERT_EQ(maker.pack_key(), user.pack_key());
  const weight_arrays weights(c.t, SEPCONV_FLOAT32, flush::back);
  const sepconv::pack pack = maker.make_pack(weights.view);
  const std::vector<float> input(c.t.input.begin(), c.t.input.end());
  std::vector<float> output(c.expected.size());
  guarded workspace(user.workspace_size(), flush::back);
  user.run(pack, input.data(), output.data(), workspace.get());
  EXPECT_TRUE(same(std::vector<double>(output.begin(), output.end()), c.expected));
}

TEST(pack, takes_weights_of_any_type) {
  for (int32_t dtype : dtypes) {
    sepconv_spec spec = spec_of(SEPCONV_SEPARABLE, {1, 5, 6, 19}, 21);
    spec.dtype = dtype;
    spec.multiplier = 2;
    const exact_case c(spec, 9);
    for (int32_t weights : dtypes) {
      run_options options;
      options.weights = weights;
      const std::vector<double> got = run(spec, c.t, options);
      EXPECT_TRUE(same(got, c.expected)) << weights << " in " << dtype << ": " << difference(got, c.expected);
    }
  }
}

// Of every type of weights; only what the kernels of that type can transpose goes by tiles.
TEST(pack, kernels_may_lie_in_any_order) {
  const int64_t cases = sample(2000);
  for (int64_t i = 0; i < cases && !HasFailure(); ++i) {
    sepconv_spec spec = draw_case(i, 67);
    if (spec.layout == SEPCONV_STRIDED) spec.layout = SEPCONV_CHANNELS_FIRST;
    spec.activation = spec.depthwise_activation = {};
    if (i % 2) spec.multiplier = 1;
    if (i % 4 == 0) spec.filters *= 9;  // several panels
    const exact_case c(spec, static_cast<uint64_t>(i));
    for (const std::string& isa : isas())
      for (kernel_order order : {kernel_order::pytorch, kernel_order::backwards}) {
        run_options options = {i % 2 ? flush::back : flush::front, i % 3 ? -1 : dtypes[i / 3 % 4], order};
        const std::vector<double> got = run_on(isa, spec, c.t, options);
        if (!same(got, c.expected))
          ADD_FAILURE() << difference(got, c.expected) << "\n" << isa << ' ' << static_cast<int>(order) << ' ' << describe(spec);
      }
  }
}

// A kernel that is large enough, in whatever order.
TEST(pack, is_made_by_threads_together) {
  for (bool over_pixels : {false, true}) {
    sepconv_spec spec = spec_of(SEPCONV_SEPARABLE, {1, 9, 9, 299}, 333);
    spec.layout = over_pixels ? SEPCONV_CHANNELS_FIRST : SEPCONV_CHANNELS_LAST;
    if (over_pixels) spec.input_shape[1] = spec.input_shape[2] = 28;
    spec.num_threads = 4;
    ASSERT_EQ(sepconv::plan(spec).info().num_threads, 4);
    ASSERT_EQ(std::string(sepconv::plan(spec).info().lanes), over_pixels ? "pixels" : "filters");
    const exact_case c(spec, 3);
    for (const std::string& isa : isas())
      for (kernel_order order : {kernel_order::contiguous, kernel_order::pytorch, kernel_order::backwards}) {
        const std::vector<double> got = run_on(isa, spec, c.t, {flush::back, -1, order});
        EXPECT_TRUE(same(got, c.expected)) << isa << ' ' << static_cast<int>(order) << ": " << difference(got, c.expected);
      }
  }
}

TEST(pack, keeps_its_own_copy) {
  const sepconv_spec spec = spec_of(SEPCONV_DEPTHWISE, {1, 3, 3, 1});
  const sepconv::plan plan(spec);
  std::vector<float> kernel(9, 1.0f);
  sepconv_weights weights = sepconv::make_weights();
  weights.depthwise_kernel = kernel.data();
  const sepconv::pack pack = plan.make_pack(weights);
  kernel.assign(9, 5.0f);
  const std::vector<float> x(9, 1.0f);
  float y = 0;
  guarded workspace(plan.workspace_size(), flush::back);
  plan.run(pack, x.data(), &y, workspace.get());
  EXPECT_EQ(y, 9);
}

TEST(widen, every_16_bit_weight) {
  for (int i = 0; i < 65536; ++i) {
    const uint16_t bits = static_cast<uint16_t>(i);
    ASSERT_TRUE(same(sepconv::half_value(bits), half_number(bits))) << i;
    ASSERT_EQ(std::signbit(sepconv::half_value(bits)), i >= 0x8000) << i;
    ASSERT_TRUE(same(sepconv::bfloat_value(bits), bfloat_number(bits))) << i;
  }
}

TEST(widen, elements_by_type) {
  for (int32_t dtype : dtypes) {
    double memory[4] = {};
    put(memory, dtype, 2, -1.5);
    EXPECT_EQ(sepconv::element(memory, dtype, 2), -1.5);
    EXPECT_EQ(sepconv::element(memory, dtype, 1), 0);
  }
}
