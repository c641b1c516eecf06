// The C interface: what it refuses and how it says so.
#include <thread>

#include "run.hpp"

using namespace test;

namespace {

const sepconv_spec good = spec_of(SEPCONV_SEPARABLE, {1, 6, 7, 5}, 9);

// A plan, its pack and buffers, to be misused one at a time.
struct fixture {
  explicit fixture(sepconv_spec spec = good)
      : plan(spec), t(make_tensors(spec, kind::integers, 1)), weights(t, sum_dtype(spec.dtype), flush::back),
        pack(plan.make_pack(weights.view)), input(4096, flush::back), output(4096, flush::back),
        workspace(plan.workspace_size(), flush::back) {
    input.fill(0);
  }
  sepconv::plan plan;
  tensors t;
  weight_arrays weights;
  sepconv::pack pack;
  guarded input, output, workspace;
};

void expect_message(sepconv_status got, sepconv_status wanted, std::initializer_list<const char*> parts) {
  EXPECT_EQ(got, wanted);
  const std::string message = sepconv_last_error();
  for (const char* part : parts) EXPECT_NE(message.find(part), std::string::npos) << "no " << part << " in: " << message;
}

sepconv_status create(const sepconv_spec& spec) {
  sepconv_plan* plan = reinterpret_cast<sepconv_plan*>(1);
  const sepconv_status status = sepconv_plan_create(&spec, &plan);
  EXPECT_TRUE(status == SEPCONV_OK || plan == nullptr);
  sepconv_plan_destroy(plan);
  return status;
}

sepconv_status pack_with(const fixture& f, const sepconv_weights& weights) {
  sepconv_pack* pack = reinterpret_cast<sepconv_pack*>(1);
  const sepconv_status status = sepconv_pack_create(f.plan.get(), &weights, &pack);
  EXPECT_TRUE(status == SEPCONV_OK || pack == nullptr);
  sepconv_pack_destroy(pack);
  return status;
}

}  // namespace

TEST(api, versions) {
  EXPECT_STREQ(sepconv_version(), SEPCONV_VERSION);
  EXPECT_EQ(sepconv_abi_version(), SEPCONV_ABI_VERSION);
}

TEST(api, plan_create_without_its_arguments) {
  sepconv_plan* plan = nullptr;
  expect_message(sepconv_plan_create(nullptr, &plan), SEPCONV_INVALID_ARGUMENT, {"`spec` must not be NULL"});
  expect_message(sepconv_plan_create(&good, nullptr), SEPCONV_INVALID_ARGUMENT, {"`plan` must not be NULL"});
}

TEST(api, struct_sizes) {
  sepconv_spec spec = good;
  spec.size = 0;
  expect_message(create(spec), SEPCONV_INVALID_ARGUMENT, {"`spec->size`", "Received: 0"});
  spec.size = 7;
  expect_message(create(spec), SEPCONV_INVALID_ARGUMENT, {"`spec->size`", "Received: 7"});

  // An older caller's struct ends early: what it lacks is zero, here the activations.
  spec = good;
  spec.activation.kind = 99;
  spec.size = offsetof(sepconv_spec, depthwise_activation);
  EXPECT_EQ(create(spec), SEPCONV_OK);

  // A newer caller's is longer: fine while the rest is zero.
  struct {
    sepconv_spec spec;
    int64_t future[4];
  } longer = {good, {}};
  longer.spec.size = sizeof(longer);
  EXPECT_EQ(create(longer.spec), SEPCONV_OK);
  longer.future[3] = 1;
  expect_message(create(longer.spec), SEPCONV_INVALID_ARGUMENT, {"`spec`", "knows no field"});
}

TEST(api, enumerations) {
  const auto with = [](auto change) {
    sepconv_spec spec = good;
    change(spec);
    return create(spec);
  };
  using s = sepconv_spec;
  for (int32_t bad : {-1, 99, INT32_MAX, INT32_MIN}) {
    const std::string received = "Received: " + std::to_string(bad);
    expect_message(with([=](s& x) { x.op = bad; }), SEPCONV_INVALID_ARGUMENT, {"`op`", "0 to 2", received.c_str()});
    expect_message(with([=](s& x) { x.dtype = bad; }), SEPCONV_INVALID_ARGUMENT, {"`dtype`", "0 to 3", received.c_str()});
    expect_message(with([=](s& x) { x.layout = bad; }), SEPCONV_INVALID_ARGUMENT, {"`layout`", "0 to 2", received.c_str()});
    expect_message(with([=](s& x) { x.padding = bad; }), SEPCONV_INVALID_ARGUMENT, {"`padding`", "0 to 2", received.c_str()});
    expect_message(with([=](s& x) { x.precision = bad; }), SEPCONV_INVALID_ARGUMENT, {"`precision`", "0 to 1", received.c_str()});
    expect_message(with([=](s& x) { x.activation.kind = bad; }), SEPCONV_INVALID_ARGUMENT, {"`activation`", "0 to 27", received.c_str()});
    expect_message(with([=](s& x) { x.depthwise_activation.kind = bad; }), SEPCONV_INVALID_ARGUMENT,
                   {"`depthwise_activation`", "0 to 27", received.c_str()});
  }
  expect_message(with([](s& x) { x.isa = "sse9"; }), SEPCONV_UNSUPPORTED, {"`isa`", "scalar", "Received: \"sse9\""});
}

TEST(api, plan_info) {
  const sepconv::plan plan(good);
  sepconv_plan_info info = {};
  expect_message(sepconv_plan_get_info(plan.get(), nullptr), SEPCONV_INVALID_ARGUMENT, {"`info` must not be NULL"});
  expect_message(sepconv_plan_get_info(plan.get(), &info), SEPCONV_INVALID_ARGUMENT, {"`info->size`", "Received: 0"});
  info.size = sizeof(info);
  expect_message(sepconv_plan_get_info(nullptr, &info), SEPCONV_INVALID_ARGUMENT, {"`plan` must not be NULL"});
  ASSERT_EQ(sepconv_plan_get_info(plan.get(), &info), SEPCONV_OK);
  EXPECT_EQ(info.size, sizeof(info));
  EXPECT_EQ((quad{info.output_shape[0], info.output_shape[1], info.output_shape[2], info.output_shape[3]}), (quad{1, 4, 5, 9}));
  EXPECT_EQ(info.workspace_size, plan.workspace_size());
  EXPECT_EQ(info.num_threads, 1);
  EXPECT_STREQ(info.isa, sepconv::system_info().isa_active);
  EXPECT_TRUE(!std::strcmp(info.gather, "channels") || !std::strcmp(info.gather, "pixels") || !std::strcmp(info.gather, "outputs"));
  EXPECT_TRUE(!std::strcmp(info.lanes, "filters") || !std::strcmp(info.lanes, "pixels"));
  EXPECT_STREQ(info.split, "pixels");
  EXPECT_GE(info.tile_pixels * info.tile_count, 20);
  EXPECT_EQ(info.flops, 2.0 * 20 * (9 * 5 + 5 * 9));
  EXPECT_GE(info.kernel_rows, 1);
  EXPECT_GE(info.kernel_columns, 1);

  EXPECT_STREQ(info.precision, "float32");
  sepconv_spec pairs = good;
  pairs.precision = SEPCONV_PRECISION_BFLOAT16;
  ASSERT_EQ(sepconv_plan_get_info(sepconv::plan(pairs).get(), &info), SEPCONV_OK);
  EXPECT_STREQ(info.precision, "bfloat16");

  // A depthwise convolution multiplies nothing, so it has no micro-kernel.
  sepconv_spec depthwise = good;
  depthwise.op = SEPCONV_DEPTHWISE;
  depthwise.filters = 0;
  ASSERT_EQ(sepconv_plan_get_info(sepconv::plan(depthwise).get(), &info), SEPCONV_OK);
  EXPECT_STREQ(info.lanes, "none");
  EXPECT_EQ(info.kernel_rows, 0);
  EXPECT_EQ(info.kernel_columns, 0);

  // No more is written than the caller has room for.
  sepconv_plan_info shorter;
  std::memset(&shorter, 0x77, sizeof(shorter));
  shorter.size = offsetof(sepconv_plan_info, isa);
  ASSERT_EQ(sepconv_plan_get_info(plan.get(), &shorter), SEPCONV_OK);
  EXPECT_EQ(shorter.output_shape[3], 9);
  EXPECT_EQ(shorter.reserved, 0x77777777);
  EXPECT_EQ(shorter.size, offsetof(sepconv_plan_info, isa));
}

TEST(api, nothing_is_a_plan) {
  EXPECT_EQ(sepconv_plan_pack_key(nullptr), -1);
  EXPECT_EQ(sepconv_plan_workspace_size(nullptr), 0u);
  sepconv_plan_destroy(nullptr);
  sepconv_pack_destroy(nullptr);
}

TEST(api, pack_create) {
  const fixture f;
  sepconv_pack* pack = nullptr;
  expect_message(sepconv_pack_create(nullptr, &f.weights.view, &pack), SEPCONV_INVALID_ARGUMENT, {"`plan` must not be NULL"});
  expect_message(sepconv_pack_create(f.plan.get(), nullptr, &pack), SEPCONV_INVALID_ARGUMENT, {"`weights` must not be NULL"});
  expect_message(sepconv_pack_create(f.plan.get(), &f.weights.view, nullptr), SEPCONV_INVALID_ARGUMENT, {"`pack` must not be NULL"});
  sepconv_weights w = f.weights.view;
  w.size = 3;
  expect_message(pack_with(f, w), SEPCONV_INVALID_ARGUMENT, {"`weights->size`", "Received: 3"});
  for (int32_t bad : {-1, 4}) {
    w = f.weights.view;
    w.dtype = bad;
    expect_message(pack_with(f, w), SEPCONV_INVALID_ARGUMENT, {"`dtype`", "0 to 3", "Received: "});
  }
  w = f.weights.view;
  w.depthwise_kernel = nullptr;
  expect_message(pack_with(f, w), SEPCONV_INVALID_ARGUMENT, {"`depthwise_kernel`", "an array", "Received: NULL"});
  w = f.weights.view;
  w.pointwise_kernel = nullptr;
  expect_message(pack_with(f, w), SEPCONV_INVALID_ARGUMENT, {"`pointwise_kernel`", "an array", "Received: NULL"});
  w = f.weights.view;
  w.strided = 2;
  expect_message(pack_with(f, w), SEPCONV_INVALID_ARGUMENT, {"`strided` of the weights must be 0 or 1", "Received: 2"});
  EXPECT_EQ(pack_with(f, f.weights.view), SEPCONV_OK);
}

TEST(api, pack_create_with_weights_of_another_operator) {
  const fixture separable;
  sepconv_spec spec = good;
  spec.op = SEPCONV_DEPTHWISE;
  const fixture depthwise(spec);
  sepconv_weights w = depthwise.weights.view;
  w.pointwise_kernel = separable.weights.view.pointwise_kernel;
  expect_message(pack_with(depthwise, w), SEPCONV_INVALID_ARGUMENT, {"`pointwise_kernel`", "NULL", "Received: an array"});
  w = depthwise.weights.view;
  w.depthwise_bias = separable.weights.view.depthwise_bias;
  expect_message(pack_with(depthwise, w), SEPCONV_INVALID_ARGUMENT, {"`depthwise_bias`", "NULL", "Received: an array"});
  spec = spec_of(SEPCONV_POINTWISE, {1, 6, 7, 5}, 9);
  const fixture pointwise(spec);
  w = pointwise.weights.view;
  w.depthwise_kernel = separable.weights.view.depthwise_kernel;
  expect_message(pack_with(pointwise, w), SEPCONV_INVALID_ARGUMENT, {"`depthwise_kernel`", "NULL", "Received: an array"});
}

TEST(api, run_without_its_arguments) {
  const fixture f;
  const auto run = [&](const sepconv_plan* plan, const sepconv_pack* pack, const void* in, void* out, void* work) {
    return sepconv_run(plan, pack, in, out, work);
  };
  const sepconv_plan* plan = f.plan.get();
  const sepconv_pack* pack = f.pack.get();
  void *in = f.input.get(), *out = f.output.get(), *work = f.workspace.get();
  expect_message(run(nullptr, pack, in, out, work), SEPCONV_INVALID_ARGUMENT, {"`plan` must not be NULL"});
  expect_message(run(plan, nullptr, in, out, work), SEPCONV_INVALID_ARGUMENT, {"`pack` must not be NULL"});
  expect_message(run(plan, pack, nullptr, out, work), SEPCONV_INVALID_ARGUMENT, {"`input` must not be NULL"});
  expect_message(run(plan, pack, in, nullptr, work), SEPCONV_INVALID_ARGUMENT, {"`output` must not be NULL"});
  expect_message(run(plan, pack, in, out, nullptr), SEPCONV_INVALID_ARGUMENT, {"`workspace` must not be NULL"});
  for (int offset : {1, 4, 32, 63})
    expect_message(run(plan, pack, in, out, static_cast<char*>(work) + offset), SEPCONV_INVALID_ARGUMENT, {"`workspace`", "64 bytes"});
}

// Nothing is computed with a pack of other channel counts, another operator, type, instruction set or lane role.
TEST(api, run_with_a_pack_of_another_plan) {
  const fixture f;
  const auto refused = [&](sepconv_spec spec) {
    const fixture other(spec);
    expect_message(sepconv_run(f.plan.get(), other.pack.get(), f.input.get(), f.output.get(), f.workspace.get()),
                   SEPCONV_INVALID_ARGUMENT, {"`pack`", "another plan"});
    for (std::size_t i = 0; i < f.output.size(); ++i) ASSERT_EQ(f.output.as<unsigned char>()[i], guarded::pattern);
  };
  sepconv_spec spec = good;
  spec.input_shape[3] = 6;
  refused(spec);
  spec = good;
  spec.filters = 8;
  refused(spec);
  spec = good;
  spec.multiplier = 2;
  refused(spec);
  spec = good;
  spec.kernel[1] = 2;
  refused(spec);
  spec = good;
  spec.dtype = SEPCONV_FLOAT64;
  refused(spec);
  spec = good;
  spec.op = SEPCONV_DEPTHWISE;
  refused(spec);
  refused(spec_of(SEPCONV_POINTWISE, {1, 6, 7, 5}, 9));
  spec = good;
  spec.layout = SEPCONV_CHANNELS_FIRST;
  spec.input_shape[1] = spec.input_shape[2] = 30;
  if (sepconv::plan(spec).pack_key() != f.plan.pack_key()) refused(spec);
  if (isas().size() > 1) {
    spec = good;
    spec.isa = isas()[1].c_str();
    refused(spec);
  }
}

TEST(api, run_of_an_empty_batch_needs_no_arrays) {
  sepconv_spec spec = good;
  spec.input_shape[0] = 0;
  const fixture f(spec);
  EXPECT_EQ(sepconv_run(f.plan.get(), f.pack.get(), nullptr, nullptr, nullptr), SEPCONV_OK);
}

TEST(api, activate) {
  sepconv_activation a = {};
  float x[3] = {-1, 2, 3};
  expect_message(sepconv_activate(nullptr, 0, x, 3), SEPCONV_INVALID_ARGUMENT, {"`activation` must not be NULL"});
  expect_message(sepconv_activate(&a, 4, x, 3), SEPCONV_INVALID_ARGUMENT, {"`dtype`", "Received: 4"});
  expect_message(sepconv_activate(&a, 0, nullptr, 3), SEPCONV_INVALID_ARGUMENT, {"`data` must not be NULL"});
  a.kind = SEPCONV_ACTIVATION_COUNT;
  expect_message(sepconv_activate(&a, 0, x, 3), SEPCONV_INVALID_ARGUMENT, {"`activation`", "Received: 28"});
  a.kind = SEPCONV_RELU;
  EXPECT_EQ(sepconv_activate(&a, 0, nullptr, 0), SEPCONV_OK);
  EXPECT_EQ(sepconv_activate(&a, 0, x, 3), SEPCONV_OK);
  EXPECT_EQ(x[0], 0);
  EXPECT_EQ(x[2], 3);
}

TEST(api, reference_refuses_like_a_plan) {
  const fixture f;
  double x[512] = {}, y[512];
  expect_message(sepconv_reference(nullptr, &f.weights.view, x, y), SEPCONV_INVALID_ARGUMENT, {"`spec` must not be NULL"});
  expect_message(sepconv_reference(&good, nullptr, x, y), SEPCONV_INVALID_ARGUMENT, {"`weights` must not be NULL"});
  expect_message(sepconv_reference(&good, &f.weights.view, nullptr, y), SEPCONV_INVALID_ARGUMENT, {"`input` must not be NULL"});
  expect_message(sepconv_reference(&good, &f.weights.view, x, nullptr), SEPCONV_INVALID_ARGUMENT, {"`output` must not be NULL"});
  sepconv_weights w = f.weights.view;
  w.depthwise_kernel = nullptr;
  expect_message(sepconv_reference(&good, &w, x, y), SEPCONV_INVALID_ARGUMENT, {"`depthwise_kernel` must not be NULL"});
  w = f.weights.view;
  w.pointwise_kernel = nullptr;
  expect_message(sepconv_reference(&good, &w, x, y), SEPCONV_INVALID_ARGUMENT, {"`pointwise_kernel` must not be NULL"});
  w = f.weights.view;
  w.strided = 1;
  expect_message(sepconv_reference(&good, &w, x, y), SEPCONV_INVALID_ARGUMENT, {"`strided` of the weights must be 0 here"});
}

TEST(api, transposes) {
  const std::vector<double> x = {1, 2, 3, 4, 5, 6};
  std::vector<double> y(6);
  ASSERT_EQ(sepconv_transpose(SEPCONV_FLOAT64, x.data(), 2, 3, y.data()), SEPCONV_OK);
  EXPECT_EQ(y, (std::vector<double>{1, 4, 2, 5, 3, 6}));
  for (int64_t rows : {1, 7, 16, 33, 70})
    for (int64_t columns : {1, 5, 16, 47, 64}) {
      const std::size_t size = static_cast<std::size_t>(rows * columns) * 4;
      const guarded from(size, flush::back), to(size, flush::front);
      for (int64_t i = 0; i < rows * columns; ++i) put(from.get(), SEPCONV_FLOAT32, i, static_cast<double>(i));
      ASSERT_EQ(sepconv_transpose(SEPCONV_FLOAT32, from.get(), rows, columns, to.get()), SEPCONV_OK);
      for (int64_t i = 0; i < rows * columns; ++i)
        ASSERT_EQ(get(to.get(), SEPCONV_FLOAT32, i % columns * rows + i / columns), static_cast<double>(i)) << rows << ' ' << columns;
    }
  EXPECT_EQ(sepconv_transpose(SEPCONV_FLOAT32, nullptr, 0, 3, nullptr), SEPCONV_OK);
  for (int32_t dtype : {-1, 2})
    expect_message(sepconv_transpose(dtype, x.data(), 2, 3, y.data()), SEPCONV_INVALID_ARGUMENT, {"`dtype` must be 0 (float32) or 1"});
  expect_message(sepconv_transpose(0, x.data(), -2, 3, y.data()), SEPCONV_INVALID_ARGUMENT, {"must not be negative", "-2, 3"});
  expect_message(sepconv_transpose(0, nullptr, 2, 3, y.data()), SEPCONV_INVALID_ARGUMENT, {"`source` must not be NULL"});
  expect_message(sepconv_transpose(0, x.data(), 2, 3, nullptr), SEPCONV_INVALID_ARGUMENT, {"`target` must not be NULL"});
}

TEST(api, system_info) {
  expect_message(sepconv_get_system_info(nullptr), SEPCONV_INVALID_ARGUMENT, {"`info` must not be NULL"});
  const sepconv_system_info info = sepconv::system_info();
  EXPECT_STREQ(info.version, SEPCONV_VERSION);
  EXPECT_NE(std::string(info.compiler), "");
  EXPECT_EQ(std::string(info.isa_found), sepconv::isa_names(true));
  EXPECT_EQ(std::string(info.isa_compiled), sepconv::isa_names(false));
  EXPECT_GE(info.num_threads, 1);
}

TEST(api, fma_peak) {
  double flops = 0;
  expect_message(sepconv_measure_fma_peak(1, nullptr), SEPCONV_INVALID_ARGUMENT, {"`flops_per_second` must not be NULL"});
  expect_message(sepconv_measure_fma_peak(0, &flops), SEPCONV_INVALID_ARGUMENT, {"`num_threads`", "Received: 0"});
  ASSERT_EQ(sepconv_measure_fma_peak(1, &flops), SEPCONV_OK);
  EXPECT_GT(flops, 1e6);
  EXPECT_LT(flops, 1e13);
}

TEST(api, last_error_is_each_threads_own) {
  sepconv_spec spec = good;
  spec.op = 42;
  EXPECT_EQ(create(spec), SEPCONV_INVALID_ARGUMENT);
  std::thread([] {
    EXPECT_STREQ(sepconv_last_error(), "");
    sepconv_spec other = good;
    other.dtype = 77;
    EXPECT_EQ(create(other), SEPCONV_INVALID_ARGUMENT);
    EXPECT_NE(std::string(sepconv_last_error()).find("77"), std::string::npos);
  }).join();
  EXPECT_NE(std::string(sepconv_last_error()).find("42"), std::string::npos);
}

// One plan and one pack, many threads, each with its own workspace and output.
TEST(api, plans_and_packs_are_shared_by_threads) {
  sepconv_spec spec = spec_of(SEPCONV_SEPARABLE, {1, 20, 20, 24}, 40);
  spec.num_threads = 2;
  const exact_case c(spec, 8);
  const sepconv::plan plan(spec);
  const weight_arrays weights(c.t, SEPCONV_FLOAT32, flush::back);
  const sepconv::pack pack = plan.make_pack(weights.view);
  const std::vector<float> input(c.t.input.begin(), c.t.input.end());
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i)
    threads.emplace_back([&] {
      std::vector<float> output(c.expected.size());
      guarded workspace(plan.workspace_size(), flush::back);
      const int64_t runs = sample(1000) / 25;
      for (int64_t k = 0; k < runs; ++k) {
        std::fill(output.begin(), output.end(), -1.0f);
        plan.run(pack, input.data(), output.data(), workspace.get());
        ASSERT_TRUE(same(std::vector<double>(output.begin(), output.end()), c.expected));
      }
    });
  for (std::thread& t : threads) t.join();
}
