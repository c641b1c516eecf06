// Gradients of whole operators against the float64 reference, on every instruction set of this machine, between guard pages.
#include "vjp.hpp"

#include "plan/vjp.hpp"

using namespace test;

namespace {

std::vector<double> upward(const sepconv_spec& spec, uint64_t seed, kind k = kind::integers) {
  generator r(seed * 7 + 3);
  return values(r, count_of(output_shape(spec)), k, 4, spec.dtype);
}

// Gradients need positive strides where the input may have others.
sepconv_spec drawn(int64_t i, uint64_t seed) {
  sepconv_spec spec = draw_case(i, seed);
  if (spec.multiplier > 3) spec.multiplier = 3;
  spec.input_shape[3] = (spec.input_shape[3] - 1) % 50 + 1;
  if (spec.filters > 40) spec.filters -= 30;
  if (spec.layout == SEPCONV_STRIDED) {  // the strides were drawn for other sizes
    spec.layout = SEPCONV_CHANNELS_LAST;
    const quad out = output_shape(spec);
    generator r(static_cast<uint64_t>(i) + 17);
    spec.layout = SEPCONV_STRIDED;
    draw_strides(r, spec.input_shape, spec.input_strides);
    draw_strides(r, out.data(), spec.output_strides);
    for (int a = 0; a < 4; ++a)
      if (r.one_in(3)) spec.input_strides[a] = -spec.input_strides[a];
  }
  return spec;
}

// Of a drawn case: contiguous in either order, or with gaps.
quad gradient_strides(const sepconv_spec& spec, int64_t i) {
  const quad in = {spec.input_shape[0], spec.input_shape[1], spec.input_shape[2], spec.input_shape[3]};
  quad stride = contiguous_strides(in, i % 2 ? SEPCONV_CHANNELS_FIRST : SEPCONV_CHANNELS_LAST);
  generator r(static_cast<uint64_t>(i));
  if (i % 5 == 0) draw_strides(r, in.data(), stride.data());
  return stride;
}

gradients run_everywhere(const sepconv_spec& spec, const tensors& t, const std::vector<double>& up, int32_t wanted, int64_t i) {
  gradients first;
  const quad stride = gradient_strides(spec, i);
  for (std::size_t k = 0; k < isas().size(); ++k) {
    sepconv_spec own = spec;
    own.isa = isas()[k].c_str();
    const gradients got = run_vjp(own, t, up, wanted, (i + static_cast<int64_t>(k)) % 2 ? flush::front : flush::back, &stride);
    if (k == 0) first = got;
    const std::string differs = gradient_difference(got, first);
    if (!differs.empty()) ADD_FAILURE() << isas()[k] << " differs from " << isas()[0] << ": " << differs << "\n" << describe(spec);
  }
  return first;
}

void round_input(gradients& g, int32_t dtype) {
  for (double& x : g.input) x = round_to(dtype, x);
}

}  // namespace

TEST(vjp, small_integers_are_exact) {
  const int64_t cases = sample(6000);
  for (int64_t i = 0; i < cases && !HasFailure(); ++i) {
    const sepconv_spec spec = drawn(i, 11);
    const tensors t = make_tensors(spec, kind::integers, static_cast<uint64_t>(i), i % 5 != 0);
    const std::vector<double> up = upward(spec, static_cast<uint64_t>(i));
    const int32_t all = every_gradient(spec.op), wanted = i % 3 ? all : static_cast<int32_t>(all & (i / 3 % 31 + 1));
    gradients expected = reference_gradients(spec, t, up, wanted);
    round_input(expected, spec.dtype);
    const std::string differs = gradient_difference(run_everywhere(spec, t, up, wanted, i), expected);
    if (!differs.empty()) ADD_FAILURE() << differs << "\ncase " << i << ": " << describe(spec) << " wanted=" << wanted;
  }
}

// As many outputs as inputs, of which strides skip some and padding makes up for them: not pixel by pixel.
TEST(vjp, pointwise_with_strides_into_padding) {
  for (int64_t channels : {16, 20, 48}) {
    sepconv_spec spec = spec_of(SEPCONV_POINTWISE, {2, 5, 7, channels}, 24);
    spec.padding = SEPCONV_EXPLICIT;
    spec.stride[0] = spec.stride[1] = 2;
    spec.pad_after[0] = 4;
    spec.pad_after[1] = 6;
    ASSERT_EQ(output_shape(spec), (quad{2, 5, 7, 24}));
    const tensors t = make_tensors(spec, kind::integers, 3);
    const std::vector<double> up = upward(spec, 3);
    const int32_t wanted = every_gradient(spec.op);
    EXPECT_EQ(gradient_difference(run_vjp(spec, t, up, wanted), reference_gradients(spec, t, up, wanted)), "") << describe(spec);
  }
}

TEST(vjp, kernels_may_lie_in_any_order) {
  const int64_t cases = sample(1500);
  for (int64_t i = 0; i < cases && !HasFailure(); ++i) {
    sepconv_spec spec = drawn(i, 17);
    if (spec.layout == SEPCONV_STRIDED) spec.layout = SEPCONV_CHANNELS_LAST;
    if (i % 2) spec.multiplier = 1;
    const tensors t = make_tensors(spec, kind::integers, static_cast<uint64_t>(i));
    const std::vector<double> up = upward(spec, static_cast<uint64_t>(i));
    const int32_t wanted = every_gradient(spec.op);
    const gradients expected = run_vjp(spec, t, up, wanted);
    for (kernel_order order : {kernel_order::pytorch, kernel_order::backwards}) {
      const int32_t turned = order == kernel_order::pytorch ? wanted | transposed(spec) : wanted;
      const std::string differs = gradient_difference(run_vjp(spec, t, up, turned, i % 3 ? flush::back : flush::front, nullptr, order), expected);
      if (!differs.empty()) ADD_FAILURE() << differs << "\ncase " << i << ' ' << static_cast<int>(order) << ": " << describe(spec);
    }
  }
}

// Large enough for several slabs with halos, parts and chunks, with tails everywhere; and the same for every number of threads.
TEST(vjp, images_of_many_slabs_for_any_number_of_threads) {
  struct shape {
    sepconv_op op;
    quad input;
    int64_t kernel, stride, dilation, multiplier, filters;
  };
  const shape shapes[] = {
      {SEPCONV_SEPARABLE, {1, 61, 47, 20}, 3, 1, 1, 1, 37},  {SEPCONV_SEPARABLE, {3, 31, 29, 24}, 3, 2, 1, 1, 33},
      {SEPCONV_SEPARABLE, {1, 140, 97, 3}, 3, 1, 1, 3, 35},  {SEPCONV_SEPARABLE, {1, 133, 33, 17}, 3, 2, 3, 1, 3},
      {SEPCONV_POINTWISE, {2, 23, 19, 70}, 1, 1, 1, 1, 71},  {SEPCONV_POINTWISE, {1, 132, 32, 16}, 1, 2, 1, 1, 1},
      {SEPCONV_DEPTHWISE, {1, 156, 56, 33}, 7, 1, 1, 1, 0},  {SEPCONV_DEPTHWISE, {2, 61, 53, 4}, 5, 2, 1, 3, 0},
      {SEPCONV_SEPARABLE, {19, 7, 7, 40}, 3, 1, 1, 1, 40},   {SEPCONV_SEPARABLE, {1, 1, 20000, 5}, 5, 3, 2, 1, 9},
      {SEPCONV_DEPTHWISE, {1, 1, 20000, 9}, 3, 1, 50, 1, 0}, {SEPCONV_SEPARABLE, {1, 70, 41, 3}, 3, 2, 1, 8, 19},
      {SEPCONV_DEPTHWISE, {1, 40, 71, 2}, 5, 1, 2, 16, 0},   {SEPCONV_SEPARABLE, {1, 33, 37, 3}, 3, 1, 1, 11, 18},
      {SEPCONV_SEPARABLE, {9, 91, 92, 2}, 3, 1, 1, 1, 3},    {SEPCONV_DEPTHWISE, {2, 9, 7, 512}, 3, 1, 1, 1, 0},
      {SEPCONV_DEPTHWISE, {1, 8, 9, 1024}, 5, 2, 1, 1, 0},
  };
  int64_t i = 0, slabs = 0, parts = 0;
  bool halo_within_a_part = false;  // of channels whose sums of a bias are made beside the rest
  for (const shape& s : shapes)
    for (int32_t layout : {SEPCONV_CHANNELS_LAST, SEPCONV_CHANNELS_FIRST}) {
      if (left_out(i++)) continue;
      sepconv_spec spec = spec_of(s.op, s.input, s.filters);
      spec.kernel[0] = s.input[1] == 1 ? 1 : s.kernel;
      spec.kernel[1] = s.kernel;
      spec.stride[0] = spec.stride[1] = s.stride;
      spec.dilation[0] = spec.dilation[1] = s.dilation;
      spec.multiplier = s.multiplier;
      spec.padding = SEPCONV_SAME;
      spec.dtype = i % 3 ? SEPCONV_FLOAT32 : SEPCONV_FLOAT64;
      spec.layout = layout;
      spec.activation.kind = i % 2 ? SEPCONV_RELU : SEPCONV_LINEAR;
      const tensors t = make_tensors(spec, kind::integers, static_cast<uint64_t>(i));
      const std::vector<double> up = upward(spec, static_cast<uint64_t>(i));
      const int32_t wanted = every_gradient(spec.op);
      const gradients expected = reference_gradients(spec, t, up, wanted);
      for (int32_t threads : {1, 2, 4, 8}) {
        spec.num_threads = threads;
        const int32_t turned = threads % 4 ? wanted : wanted | transposed(spec);
        const std::string differs = gradient_difference(run_vjp(spec, t, up, turned), expected);
        if (!differs.empty()) ADD_FAILURE() << differs << "\n" << threads << " threads, " << describe(spec);
      }
      const sepconv_vjp plan = sepconv::make_vjp(spec, wanted, nullptr);
      slabs = std::max(slabs, plan.slabs);
      parts = std::max(parts, plan.parts);
      halo_within_a_part |= plan.alone && plan.slabs > 1 && plan.units > plan.parts;
    }
  EXPECT_GT(slabs, 2);
  EXPECT_GT(parts, 2);
  EXPECT_TRUE(halo_within_a_part);
}

// One masked output gradient, and 4 MB a thread: the weights, however many, aren't copied whole.
TEST(vjp, workspaces_are_small) {
  const struct {
    quad input;
    int64_t kernel, filters;
  } shapes[] = {{{1, 112, 112, 32}, 3, 64},  {{32, 14, 14, 512}, 3, 512},  {{1, 7, 7, 1024}, 3, 1024},  {{1, 10, 10, 1536}, 3, 2048},
                {{1, 3, 3, 2048}, 3, 4096}, {{1, 512, 512, 64}, 3, 64}, {{1, 224, 224, 3}, 7, 32}, {{8, 65, 65, 256}, 5, 256}};
  for (const auto& s : shapes)
    for (const int32_t threads : {1, 2, 8}) {
      sepconv_spec spec = spec_of(SEPCONV_SEPARABLE, s.input, s.filters);
      spec.kernel[0] = spec.kernel[1] = s.kernel;
      spec.padding = SEPCONV_SAME;
      spec.num_threads = threads;
      spec.activation.kind = SEPCONV_RELU;
      const sepconv_vjp plan = sepconv::make_vjp(spec, every_gradient(spec.op), nullptr);
      const std::size_t masked = static_cast<std::size_t>(plan.geometry.pixels * s.filters) * 4;
      EXPECT_LE(plan.workspace_size, masked + static_cast<std::size_t>(plan.threads) * (4 << 20)) << describe(spec);
    }
}

// Numbers whose sums round: the same bits for instruction sets, threads, layouts and what else is wanted; and near to the reference.
TEST(vjp, rounded_sums_agree) {
  const int64_t cases = sample(600);
  for (int64_t i = 0; i < cases && !HasFailure(); ++i) {
    sepconv_spec spec = drawn(i, 12);
    spec.dtype = i % 2 ? SEPCONV_FLOAT64 : SEPCONV_FLOAT32;
    static constexpr int32_t smooth[] = {SEPCONV_LINEAR, SEPCONV_TANH, SEPCONV_SILU, SEPCONV_SIGMOID, SEPCONV_GELU, SEPCONV_SOFTSIGN};
    generator r(static_cast<uint64_t>(i));
    spec.activation = {};
    spec.activation.kind = r.pick(smooth);
    spec.depthwise_activation = {};
    if (spec.op == SEPCONV_SEPARABLE) spec.depthwise_activation.kind = r.pick(smooth);
    tensors t = make_tensors(spec, kind::normal, static_cast<uint64_t>(i));
    for (std::vector<double>* v : {&t.depthwise, &t.pointwise})
      for (double& x : *v) x = round_to(spec.dtype, x / 8);
    const std::vector<double> up = upward(spec, static_cast<uint64_t>(i), kind::normal);
    const int32_t wanted = every_gradient(spec.op);
    const gradients got = run_everywhere(spec, t, up, wanted, i), expected = reference_gradients(spec, t, up, wanted);
    for (std::size_t k = 0; k < 5; ++k) {
      const std::vector<double>&a = *got.all()[k], &b = *expected.all()[k];
      double largest = 0, error = 0;
      for (std::size_t j = 0; j < a.size(); ++j) {
        largest = std::max(largest, std::fabs(b[j]));
        error = std::max(error, std::fabs(a[j] - b[j]));
      }
      EXPECT_LE(error, (spec.dtype == SEPCONV_FLOAT64 ? 1e-13 : 4e-5) * std::max(largest, 1.0)) << gradient_name(k) << ' ' << describe(spec);
    }
    spec.num_threads = 3;
    const quad stride = gradient_strides(spec, i);
    for (int32_t one = 1; one < 32; one *= 2) {
      if (!(wanted & one)) continue;
      const gradients alone = run_vjp(spec, t, up, one, flush::back, &stride);
      for (std::size_t k = 0; k < 5; ++k)
        EXPECT_TRUE(one != 1 << k || same(*alone.all()[k], *got.all()[k])) << gradient_name(k) << ' ' << describe(spec);
    }
  }
}

TEST(vjp, an_empty_batch_has_zero_gradients) {
  for (sepconv_op op : {SEPCONV_SEPARABLE, SEPCONV_DEPTHWISE, SEPCONV_POINTWISE}) {
    const sepconv_spec spec = spec_of(op, {0, 5, 6, 19}, op == SEPCONV_DEPTHWISE ? 0 : 21);
    const gradients g = run_vjp(spec, make_tensors(spec, kind::normal, 7), {}, every_gradient(op));
    for (std::size_t k = 1; k < 5; ++k) {
      EXPECT_EQ(g.all()[k]->empty(), !(every_gradient(op) >> k & 1));
      EXPECT_EQ(std::count(g.all()[k]->begin(), g.all()[k]->end(), 0.0), static_cast<int64_t>(g.all()[k]->size()));
    }
  }
}

// A large dilation or padding makes no large buffers: what lies outside the image is left out, not padded.
TEST(vjp, workspaces_are_bounded) {
  sepconv_spec spec = spec_of(SEPCONV_SEPARABLE, {1, 5, 5, 32}, 32);
  spec.dilation[0] = spec.dilation[1] = 100000;
  spec.padding = SEPCONV_SAME;
  EXPECT_LT(sepconv::vjp(spec, 31).workspace_size(), 2u << 20);
  spec = spec_of(SEPCONV_SEPARABLE, {1, 1024, 1024, 32}, 16);
  const std::size_t output = 1022 * 1022 * 16 * 4;
  EXPECT_LT(sepconv::vjp(spec, 31).workspace_size(), output + (5u << 20));
  spec = spec_of(SEPCONV_DEPTHWISE, {1, 1, 1 << 20, 16});
  spec.kernel[0] = 1;
  EXPECT_LT(sepconv::vjp(spec, 19).workspace_size(), 3u << 20);
}

namespace {

void expect_message(sepconv_status got, const std::string& part) {
  EXPECT_EQ(got, SEPCONV_INVALID_ARGUMENT) << part;
  EXPECT_NE(std::string(sepconv_last_error()).find(part), std::string::npos) << sepconv_last_error();
}

}  // namespace

TEST(vjp, refusals_name_the_argument) {
  const sepconv_spec spec = spec_of(SEPCONV_POINTWISE, {1, 2, 2, 3}, 4);
  sepconv_vjp* vjp = nullptr;
  expect_message(sepconv_vjp_create(&spec, 1, nullptr, nullptr), "`vjp` must not be NULL");
  expect_message(sepconv_vjp_create(nullptr, 1, nullptr, &vjp), "`spec` must not be NULL");
  expect_message(sepconv_vjp_create(&spec, SEPCONV_GRADIENT_DEPTHWISE_KERNEL, nullptr, &vjp), "`wanted`");
  expect_message(sepconv_vjp_create(&spec, 64, nullptr, &vjp), "Received: 64");
  expect_message(sepconv_vjp_create(&spec, SEPCONV_GRADIENT_INPUT | SEPCONV_GRADIENT_TRANSPOSED, nullptr, &vjp), "Received: 33");
  const int64_t overlapping[4] = {0, 0, 0, -1};
  expect_message(sepconv_vjp_create(&spec, 1, overlapping, &vjp), "`gradient_strides`");
  EXPECT_EQ(vjp, nullptr);
  ASSERT_EQ(sepconv_vjp_create(&spec, SEPCONV_GRADIENT_INPUT, nullptr, &vjp), SEPCONV_OK);
  float data[64] = {};
  alignas(64) static char workspace[1 << 20];
  ASSERT_LE(sepconv_vjp_workspace_size(vjp), sizeof(workspace) - 64);
  sepconv_weights w = sepconv::make_weights();
  sepconv_gradients g = sepconv::make_gradients();
  const auto run = [&](void* scratch) { return sepconv_vjp_run(vjp, &w, data, nullptr, data, &g, scratch); };
  expect_message(run(workspace), "`pointwise_kernel`");
  w.pointwise_kernel = data;
  expect_message(run(workspace), "`gradients->input`");
  g.input = data + 16;
  g.bias = data;
  expect_message(run(workspace), "`gradients->bias` must be NULL");
  g.bias = nullptr;
  w.dtype = SEPCONV_FLOAT16;
  expect_message(run(workspace), "`dtype` of the weights");
  w.dtype = SEPCONV_FLOAT32;
  expect_message(run(workspace + 4), "`workspace`");
  expect_message(run(nullptr), "`workspace`");
  EXPECT_EQ(run(workspace), SEPCONV_OK);
  expect_message(sepconv_vjp_run(nullptr, &w, data, nullptr, data, &g, workspace), "`vjp`");
  sepconv_vjp_destroy(vjp);
  sepconv_vjp_destroy(nullptr);
  EXPECT_EQ(sepconv_vjp_workspace_size(nullptr), 0u);
}

TEST(vjp, elementwise_derivatives_of_every_type) {
  const sepconv_activation relu = {SEPCONV_RELU, 0, {}}, tanh = {SEPCONV_TANH, 0, {}}, silu = {SEPCONV_SILU, 0, {}};
  EXPECT_EQ(sepconv_activation_keeps(nullptr), -1);
  EXPECT_EQ(sepconv_activation_keeps(&relu), SEPCONV_KEEP_OUTPUT);
  EXPECT_EQ(sepconv_activation_keeps(&silu), SEPCONV_KEEP_ARGUMENT);
  for (int32_t dtype : dtypes) {
    const std::size_t count = 1500;
    std::vector<char> kept(count * size_of(dtype)), gradient(count * size_of(dtype));
    for (std::size_t i = 0; i < count; ++i) {
      put(kept.data(), dtype, static_cast<int64_t>(i), i % 2 ? 0.5 : -0.5);
      put(gradient.data(), dtype, static_cast<int64_t>(i), 4);
    }
    ASSERT_EQ(sepconv_derive(&tanh, dtype, kept.data(), gradient.data(), count), SEPCONV_OK);
    EXPECT_EQ(get(gradient.data(), dtype, 0), 3);
    ASSERT_EQ(sepconv_derive(&relu, dtype, kept.data(), gradient.data(), count), SEPCONV_OK);
    for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(get(gradient.data(), dtype, static_cast<int64_t>(i)), i % 2 ? 3 : 0);
  }
  float one = 1;
  expect_message(sepconv_derive(&relu, SEPCONV_FLOAT32, nullptr, &one, 1), "`kept`");
  expect_message(sepconv_derive(&relu, 9, &one, &one, 1), "`dtype`");
}
