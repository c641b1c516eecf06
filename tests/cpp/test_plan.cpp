// Plans as the library sees them: what they take from the spec and the machine, and keys of packs.
#include "plan/plan.hpp"

#include <map>
#include <tuple>

#include "cases.hpp"
#include "plan/error.hpp"
#include "runtime/parallel.hpp"

using namespace test;
using sepconv::make_plan;
using sepconv::pack_key;

namespace {

// All that a key promises to tell apart.
using identity = std::tuple<int32_t, bool, bool, sepconv::multiply_lanes, const sepconv::kernel_table*>;

identity identity_of(const sepconv_plan& p) {
  return {p.geometry.op, p.geometry.dtype == SEPCONV_FLOAT64, p.geometry.pairs, p.schedule.multiply, p.table};
}

// So large that the layout says whether lanes run over pixels or filters.
sepconv_spec large_spec(int32_t layout) {
  sepconv_spec spec = spec_of(SEPCONV_SEPARABLE, {1, 40, 40, 24}, 40);
  spec.layout = layout;
  return spec;
}

}  // namespace

// Both ways over the sweep's cases: keys are equal exactly where operator, sum type, products, lane role and instruction set are.
TEST(plan, keys_tell_apart_what_they_promise_and_nothing_else) {
  std::map<identity, int64_t> key_of;
  std::map<int64_t, identity> owner;
  for (const std::string& isa : isas())
    for (int64_t i = 0; i < 600; ++i) {
      sepconv_spec spec = draw_case(i, 51);
      if (i % 2 && spec.layout != SEPCONV_STRIDED) {  // large enough for lanes over pixels
        spec.input_shape[1] += 40;
        spec.input_shape[2] += 40;
      }
      spec.isa = isa.c_str();
      spec.precision = spec.dtype == SEPCONV_FLOAT64 ? 0 : i / 12 % 2;
      const sepconv_plan plan = make_plan(spec);
      const int64_t key = pack_key(plan);
      ASSERT_GE(key, 0) << "-1 is the key of no plan";
      ASSERT_EQ(key_of.emplace(identity_of(plan), key).first->second, key) << describe(spec);
      ASSERT_EQ(owner.emplace(key, identity_of(plan)).first->second, identity_of(plan)) << describe(spec);
    }
  // On each instruction set: two sum types of three operators, two of which have two lane roles, and in float32 two kinds of products.
  EXPECT_EQ(owner.size(), isas().size() * (2 * 5 + 4));
}

TEST(plan, keys_of_everything_that_may_differ) {
  for (int32_t layout : {SEPCONV_CHANNELS_LAST, SEPCONV_CHANNELS_FIRST}) {
    const sepconv_spec spec = large_spec(layout);
    const int64_t key = pack_key(make_plan(spec));
    const auto with = [&](auto change) {
      sepconv_spec other = spec;
      change(other);
      return pack_key(make_plan(other));
    };
    using s = sepconv_spec;
    EXPECT_EQ(with([](s& x) { x.input_shape[0] = 3; }), key);
    EXPECT_EQ(with([](s& x) { x.input_shape[1] = 57; }), key);
    EXPECT_EQ(with([](s& x) { x.input_shape[2] = 61; }), key);
    EXPECT_EQ(with([](s& x) { x.padding = SEPCONV_SAME; }), key);
    EXPECT_EQ(with([](s& x) { x.dilation[0] = x.dilation[1] = 2; }), key);
    EXPECT_EQ(with([](s& x) { x.num_threads = 7; }), key);
    EXPECT_EQ(with([](s& x) { x.activation.kind = SEPCONV_MISH; }), key);
    EXPECT_EQ(with([](s& x) { x.depthwise_activation.kind = SEPCONV_RELU; }), key);
    EXPECT_EQ(with([](s& x) { x.dtype = SEPCONV_FLOAT16; }), key);
    EXPECT_EQ(with([](s& x) { x.dtype = SEPCONV_BFLOAT16; }), key);
    EXPECT_NE(with([](s& x) { x.dtype = SEPCONV_FLOAT64; }), key);
    EXPECT_NE(with([](s& x) { x.op = SEPCONV_DEPTHWISE; }), key);
    EXPECT_NE(with([](s& x) { x.precision = SEPCONV_PRECISION_BFLOAT16; }), key);
  }
  EXPECT_NE(pack_key(make_plan(large_spec(SEPCONV_CHANNELS_LAST))), pack_key(make_plan(large_spec(SEPCONV_CHANNELS_FIRST))));
}

// It multiplies nothing, so there is nothing to be done in another precision; not in float64 either.
TEST(plan, a_depthwise_convolution_has_no_precision) {
  for (int32_t dtype : dtypes) {
    sepconv_spec spec = spec_of(SEPCONV_DEPTHWISE, {1, 9, 9, 20});
    spec.dtype = dtype;
    const int64_t key = pack_key(make_plan(spec));
    spec.precision = SEPCONV_PRECISION_BFLOAT16;
    const sepconv_plan plan = make_plan(spec);
    EXPECT_FALSE(plan.geometry.pairs);
    EXPECT_EQ(pack_key(plan), key);
    EXPECT_EQ(plan.schedule.pairs_size, 0u);
  }
}

TEST(plan, is_the_same_each_time) {
  for (int64_t i = 0; i < 200; ++i) {
    const sepconv_spec spec = draw_case(i, 52);
    const sepconv_plan a = make_plan(spec), b = make_plan(spec);
    EXPECT_EQ(pack_key(a), pack_key(b)) << describe(spec);
    EXPECT_EQ(workspace_size(a.schedule), workspace_size(b.schedule)) << describe(spec);
    EXPECT_EQ(a.schedule.tile_pixels, b.schedule.tile_pixels) << describe(spec);
    EXPECT_EQ(a.schedule.tiles, b.schedule.tiles) << describe(spec);
  }
}

TEST(plan, kernels_are_those_of_instruction_set_and_type) {
  for (const std::string& isa : isas())
    for (int32_t dtype : dtypes) {
      sepconv_spec spec = large_spec(SEPCONV_CHANNELS_LAST);
      spec.isa = isa.c_str();
      spec.dtype = dtype;
      const sepconv_plan plan = make_plan(spec);
      EXPECT_EQ(plan.table->isa, isa);
      EXPECT_EQ(plan.table, &sepconv::find_isa(isa.c_str()));
      EXPECT_EQ(plan.kernels, plan.table->sets[dtype]);
      EXPECT_EQ(plan.products, plan.kernels);
      if (dtype == SEPCONV_FLOAT64) continue;
      spec.precision = SEPCONV_PRECISION_BFLOAT16;
      EXPECT_EQ(make_plan(spec).products, plan.table->pairs);
    }
  sepconv_spec spec = large_spec(SEPCONV_CHANNELS_LAST);
  for (const char* unnamed : {static_cast<const char*>(nullptr), ""}) {
    spec.isa = unnamed;
    EXPECT_EQ(make_plan(spec).table, &sepconv::find_isa(nullptr));
  }
}

TEST(plan, does_not_keep_the_name_of_its_instruction_set) {
  std::string name = isas().back();
  sepconv_spec spec = large_spec(SEPCONV_CHANNELS_LAST);
  spec.isa = name.c_str();
  const sepconv_plan plan = make_plan(spec);
  name.assign(name.size(), '?');
  EXPECT_EQ(plan.table->isa, isas().back());
}

TEST(plan, threads_are_those_asked_for_where_there_is_work) {
  sepconv_spec spec = spec_of(SEPCONV_SEPARABLE, {4, 64, 64, 64}, 64);
  for (int32_t threads : {1, 2, 5}) {
    spec.num_threads = threads;
    EXPECT_EQ(make_plan(spec).schedule.threads, threads);
  }
  spec.num_threads = 0;
  const int32_t by_default = make_plan(spec).schedule.threads;
  spec.num_threads = sepconv::default_threads();
  EXPECT_EQ(by_default, make_plan(spec).schedule.threads);
}

TEST(plan, refusals_are_errors) {
  sepconv_spec spec = large_spec(SEPCONV_CHANNELS_LAST);
  spec.isa = "slide rule";
  try {
    make_plan(spec);
    ADD_FAILURE() << "accepted";
  } catch (const sepconv::error& e) {
    EXPECT_EQ(e.status(), SEPCONV_UNSUPPORTED);
    EXPECT_NE(std::string(e.what()).find("Received: \"slide rule\""), std::string::npos) << e.what();
  }
  spec = large_spec(SEPCONV_CHANNELS_LAST);
  spec.filters = -3;
  try {
    make_plan(spec);
    ADD_FAILURE() << "accepted";
  } catch (const sepconv::error& e) {
    EXPECT_EQ(e.status(), SEPCONV_INVALID_ARGUMENT);
    EXPECT_NE(std::string(e.what()).find("`filters`"), std::string::npos) << e.what();
  }
}
