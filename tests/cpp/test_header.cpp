// sepconv.hpp: owners and exceptions over the C interface.
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "sepconv/sepconv.hpp"

namespace {

sepconv_spec small_spec() {
  sepconv_spec spec = sepconv::make_spec();
  spec.op = SEPCONV_DEPTHWISE;
  spec.input_shape[0] = spec.input_shape[3] = 1;
  spec.input_shape[1] = spec.input_shape[2] = 3;
  spec.kernel[0] = spec.kernel[1] = 3;
  return spec;
}

}  // namespace

TEST(header, statuses_become_exceptions) {
  EXPECT_NO_THROW(sepconv::check(SEPCONV_OK));
  EXPECT_THROW(sepconv::check(SEPCONV_OUT_OF_MEMORY), std::bad_alloc);
  EXPECT_THROW(sepconv::check(SEPCONV_INTERNAL_ERROR), std::runtime_error);
  EXPECT_THROW(sepconv::check(SEPCONV_INVALID_ARGUMENT), sepconv::invalid_argument);
  EXPECT_THROW(sepconv::check(SEPCONV_UNSUPPORTED), std::invalid_argument);
  EXPECT_THROW(sepconv::check(static_cast<sepconv_status>(7)), sepconv::invalid_argument);
}

TEST(header, messages_come_through) {
  sepconv_spec spec = small_spec();
  spec.dtype = 9;
  try {
    sepconv::plan plan(spec);
    FAIL();
  } catch (const sepconv::invalid_argument& e) {
    EXPECT_NE(std::string(e.what()).find("`dtype`"), std::string::npos) << e.what();
  }
  spec = small_spec();
  spec.isa = "abacus";
  EXPECT_THROW(sepconv::plan plan(spec), sepconv::invalid_argument);
  const sepconv::plan plan(small_spec());
  EXPECT_THROW(plan.make_pack(sepconv::make_weights()), sepconv::invalid_argument);
}

TEST(header, computes_through_moved_owners) {
  sepconv::plan first(small_spec());
  const std::vector<float> kernel(9, 2.0f), bias(1, 0.5f), input = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  sepconv_weights weights = sepconv::make_weights();
  weights.depthwise_kernel = kernel.data();
  weights.bias = bias.data();
  sepconv::pack packed = first.make_pack(weights);
  const sepconv::plan plan = std::move(first);
  const sepconv::pack pack = std::move(packed);
  EXPECT_EQ(first.get(), nullptr);  // a moved-from owner holds nothing
  EXPECT_EQ(plan.info().output_shape[1], 1);
  EXPECT_EQ(plan.pack_key(), sepconv_plan_pack_key(plan.get()));
  sepconv::buffer workspace(plan.workspace_size() + 64), output(sizeof(float));
  plan.run(pack, input.data(), output.get(), workspace.get());
  EXPECT_EQ(*static_cast<float*>(output.get()), 90.5f);
  EXPECT_THROW(plan.run(pack, nullptr, output.get(), workspace.get()), sepconv::invalid_argument);
}

TEST(header, buffers) {
  sepconv::buffer buffer(100);
  EXPECT_EQ(buffer.size(), 100u);
  ASSERT_NE(buffer.get(), nullptr);
  void* released = buffer.release();
  EXPECT_EQ(buffer.get(), nullptr);
  sepconv_free(released);
  EXPECT_THROW(sepconv::buffer huge(SIZE_MAX), std::bad_alloc);
}

TEST(header, system_info) { EXPECT_STREQ(sepconv::system_info().version, SEPCONV_VERSION); }
