// Validation and sizes: what a spec means, and every way in which it can be wrong.
#include "plan/geometry.hpp"

#include "plan/error.hpp"
#include "support.hpp"

using namespace test;
using sepconv::make_geometry;

namespace {

std::string refusal(const sepconv_spec& spec) {
  try {
    make_geometry(spec);
  } catch (const sepconv::error& e) {
    EXPECT_EQ(e.status(), SEPCONV_INVALID_ARGUMENT);
    return e.what();
  }
  return "accepted";
}

void expect_refused(const sepconv_spec& spec, const std::string& field, const std::string& received) {
  const std::string message = refusal(spec);
  EXPECT_NE(message.find("`" + field + "`"), std::string::npos) << message;
  EXPECT_NE(message.find("Received: " + received), std::string::npos) << message;
}

const sepconv_spec good = spec_of(SEPCONV_SEPARABLE, {2, 9, 11, 5}, 7);

}  // namespace

TEST(geometry, output_sizes_are_those_of_a_count_by_hand) {
  for (int64_t size = 1; size <= 14; ++size)
    for (int64_t kernel = 1; kernel <= 5; ++kernel)
      for (int64_t stride = 1; stride <= 4; ++stride)
        for (int64_t dilation = 1; dilation <= 3; ++dilation)
          for (int axis = 0; axis < 2; ++axis) {
            sepconv_spec spec = good;
            spec.input_shape[1 + axis] = size;
            spec.kernel[axis] = kernel;
            spec.kernel[1 - axis] = 1;
            spec.stride[axis] = stride;
            spec.dilation[axis] = dilation;
            const int64_t reach = (kernel - 1) * dilation + 1;

            spec.padding = SEPCONV_SAME;
            sepconv::geometry g = make_geometry(spec);
            const int64_t outputs = (size + stride - 1) / stride;
            const int64_t total = std::max<int64_t>((outputs - 1) * stride + reach - size, 0);
            EXPECT_EQ(g.output[static_cast<std::size_t>(1 + axis)], outputs);
            EXPECT_EQ(g.pad_before[static_cast<std::size_t>(axis)], total / 2);  // the odd one goes behind

            spec.padding = SEPCONV_VALID;
            int64_t places = 0;
            for (int64_t at = 0; at + reach <= size; at += stride) ++places;
            if (places == 0) {
              EXPECT_NE(refusal(spec).find("empty"), std::string::npos);
            } else {
              g = make_geometry(spec);
              EXPECT_EQ(g.output[static_cast<std::size_t>(1 + axis)], places);
              EXPECT_EQ(g.pad_before[static_cast<std::size_t>(axis)], 0);
            }

            spec.padding = SEPCONV_EXPLICIT;
            spec.pad_before[axis] = 2;
            spec.pad_after[axis] = 1;
            places = 0;
            for (int64_t at = -2; at + reach <= size + 1; at += stride) ++places;
            if (places == 0) {
              EXPECT_NE(refusal(spec).find("empty"), std::string::npos);
            } else {
              g = make_geometry(spec);
              EXPECT_EQ(g.output[static_cast<std::size_t>(1 + axis)], places);
              EXPECT_EQ(g.pad_before[static_cast<std::size_t>(axis)], 2);
            }
          }
}

TEST(geometry, zeros_mean_defaults) {
  sepconv_spec spec = good;
  spec.kernel[0] = spec.kernel[1] = spec.stride[0] = spec.dilation[1] = spec.multiplier = 0;
  const sepconv::geometry g = make_geometry(spec);
  EXPECT_EQ(g.kernel, (sepconv::pair{1, 1}));
  EXPECT_EQ(g.stride, (sepconv::pair{1, 1}));
  EXPECT_EQ(g.dilation, (sepconv::pair{1, 1}));
  EXPECT_EQ(g.multiplier, 1);
  EXPECT_EQ(g.output, (sepconv::quad{2, 9, 11, 7}));
}

TEST(geometry, strides_follow_the_layout) {
  sepconv_spec spec = good;
  sepconv::geometry g = make_geometry(spec);
  EXPECT_EQ(g.input_step, (sepconv::quad{9 * 11 * 5, 11 * 5, 5, 1}));
  EXPECT_EQ(g.output_step, (sepconv::quad{7 * 9 * 7, 9 * 7, 7, 1}));
  spec.layout = SEPCONV_CHANNELS_FIRST;
  g = make_geometry(spec);
  EXPECT_EQ(g.input_step, (sepconv::quad{9 * 11 * 5, 11, 1, 9 * 11}));
  EXPECT_EQ(g.output_step, (sepconv::quad{7 * 9 * 7, 9, 1, 7 * 9}));
  spec.layout = SEPCONV_STRIDED;
  for (int i = 0; i < 4; ++i) {
    spec.input_strides[i] = -3 * (i + 1);
    spec.output_strides[i] = 1000 - i;
  }
  g = make_geometry(spec);
  EXPECT_EQ(g.input_step, (sepconv::quad{-3, -6, -9, -12}));
  EXPECT_EQ(g.output_step, (sepconv::quad{1000, 999, 998, 997}));
}

TEST(geometry, depth_and_filters) {
  sepconv_spec spec = good;
  spec.multiplier = 3;
  EXPECT_EQ(make_geometry(spec).depth, 15);
  EXPECT_EQ(make_geometry(spec).filters(), 7);
  spec.op = SEPCONV_DEPTHWISE;
  EXPECT_EQ(make_geometry(spec).filters(), 15);
  EXPECT_FALSE(make_geometry(spec).multiplies());
}

TEST(geometry, flops_and_bytes) {
  const sepconv::geometry g = make_geometry(good);  // 7 x 9 outputs of 2 images
  EXPECT_EQ(sepconv::flops(g), 2.0 * 2 * 7 * 9 * (9 * 5 + 5 * 7));
  EXPECT_EQ(sepconv::bytes(g), 4.0 * (2 * 9 * 11 * 5 + 2 * 7 * 9 * 7 + 9 * 5 + 5 * 7));
  sepconv_spec spec = good;
  spec.op = SEPCONV_DEPTHWISE;
  spec.dtype = SEPCONV_FLOAT16;
  EXPECT_EQ(sepconv::flops(make_geometry(spec)), 2.0 * 2 * 7 * 9 * 9 * 5);
  EXPECT_EQ(sepconv::bytes(make_geometry(spec)), 2.0 * (2 * 9 * 11 * 5 + 2 * 7 * 9 * 5 + 9 * 5));
}

TEST(geometry, sizes_of_types) {
  EXPECT_EQ(sepconv::element_size(SEPCONV_FLOAT32), 4u);
  EXPECT_EQ(sepconv::element_size(SEPCONV_FLOAT64), 8u);
  EXPECT_EQ(sepconv::element_size(SEPCONV_FLOAT16), 2u);
  EXPECT_EQ(sepconv::element_size(SEPCONV_BFLOAT16), 2u);
  EXPECT_EQ(sepconv::sum_size(SEPCONV_FLOAT64), 8u);
  for (sepconv_dtype dtype : {SEPCONV_FLOAT32, SEPCONV_FLOAT16, SEPCONV_BFLOAT16}) EXPECT_EQ(sepconv::sum_size(dtype), 4u);
}

TEST(geometry, every_refusal_names_its_field) {
  const auto with = [](auto change) {
    sepconv_spec spec = good;
    change(spec);
    return spec;
  };
  using s = sepconv_spec;
  expect_refused(with([](s& x) { x.op = 3; }), "op", "3");
  expect_refused(with([](s& x) { x.op = -1; }), "op", "-1");
  expect_refused(with([](s& x) { x.dtype = 4; }), "dtype", "4");
  expect_refused(with([](s& x) { x.layout = 3; }), "layout", "3");
  expect_refused(with([](s& x) { x.padding = 3; }), "padding", "3");
  expect_refused(with([](s& x) { x.num_threads = -1; }), "num_threads", "-1");
  expect_refused(with([](s& x) { x.precision = 2; }), "precision", "2");
  expect_refused(with([](s& x) {
                   x.precision = SEPCONV_PRECISION_BFLOAT16;
                   x.dtype = SEPCONV_FLOAT64;
                 }),
                 "precision", "1");
  expect_refused(with([](s& x) { x.input_shape[0] = -1; }), "input_shape", "-1");
  expect_refused(with([](s& x) { x.input_shape[2] = -7; }), "input_shape", "-7");
  expect_refused(with([](s& x) { x.input_shape[3] = 0; }), "input_shape", "0");
  expect_refused(with([](s& x) { x.kernel[0] = -2; }), "kernel", "-2");
  expect_refused(with([](s& x) { x.stride[1] = -1; }), "stride", "-1");
  expect_refused(with([](s& x) { x.dilation[0] = -1; }), "dilation", "-1");
  expect_refused(with([](s& x) { x.multiplier = -1; }), "multiplier", "-1");
  expect_refused(with([](s& x) { x.filters = 0; }), "filters", "0");
  expect_refused(with([](s& x) { x.padding = SEPCONV_EXPLICIT, x.pad_before[1] = -1; }), "pad_before", "-1");
  expect_refused(with([](s& x) { x.padding = SEPCONV_EXPLICIT, x.pad_after[0] = -1; }), "pad_after", "-1");
  expect_refused(with([](s& x) { x.activation.kind = SEPCONV_ACTIVATION_COUNT; }), "activation", "28");
  expect_refused(with([](s& x) { x.depthwise_activation.kind = -1; }), "depthwise_activation", "-1");
  expect_refused(with([](s& x) { x.op = SEPCONV_DEPTHWISE, x.depthwise_activation.kind = 1; }), "depthwise_activation", "1");
  expect_refused(with([](s& x) { x.op = SEPCONV_POINTWISE; }), "kernel", "9 taps");
  expect_refused(with([](s& x) { x.layout = SEPCONV_STRIDED; }), "output_strides", "0");
  expect_refused(with([](s& x) { x.kernel[0] = 10; }), "input_shape", "stride 1");
  expect_refused(with([](s& x) { x.input_shape[1] = 0, x.padding = SEPCONV_SAME; }), "input_shape", "stride");
}

TEST(geometry, an_empty_image_may_be_all_padding) {
  sepconv_spec spec = good;
  spec.padding = SEPCONV_EXPLICIT;
  spec.input_shape[1] = 0;
  spec.pad_before[0] = spec.pad_after[0] = 2;
  EXPECT_EQ(make_geometry(spec).output[1], 2);
}

TEST(geometry, batch_may_be_empty) {
  sepconv_spec spec = good;
  spec.input_shape[0] = 0;
  EXPECT_EQ(make_geometry(spec).pixels, 0);
}

// One tap has no dilation: however large, it neither overflows nor moves anything.
TEST(geometry, dilation_of_one_tap_is_nothing) {
  sepconv_spec spec = good;
  spec.kernel[0] = spec.kernel[1] = 1;
  spec.dilation[0] = spec.dilation[1] = INT64_MAX;
  spec.padding = SEPCONV_EXPLICIT;
  spec.pad_before[1] = 3;
  const sepconv::geometry g = make_geometry(spec);
  EXPECT_EQ(g.dilation, (sepconv::pair{1, 1}));
  EXPECT_EQ(g.output, (sepconv::quad{2, 9, 14, 7}));
}

// Sizes around every power where 32 or 64 bits end, in every place: a plan or a message, nothing else. Undefined arithmetic is the
// sanitizer's to find.
TEST(geometry, sizes_at_the_limits) {
  const int64_t sizes[] = {0, 1, 2, 1 << 15, 1 << 16, (int64_t{1} << 31) - 1, (int64_t{1} << 31) + 1, int64_t{1} << 32, INT64_MAX};
  int64_t accepted = 0, refused = 0;
  const auto attempt = [&](const sepconv_spec& spec) {
    sepconv_plan* plan = nullptr;
    const sepconv_status status = sepconv_plan_create(&spec, &plan);
    if (status == SEPCONV_OK) {
      ++accepted;
      sepconv_plan_info info = {};
      info.size = sizeof(info);
      EXPECT_EQ(sepconv_plan_get_info(plan, &info), SEPCONV_OK);
      EXPECT_GE(info.tile_pixels, 1);
    } else {
      ++refused;
      EXPECT_EQ(status, SEPCONV_INVALID_ARGUMENT) << sepconv_last_error();
      EXPECT_STRNE(sepconv_last_error(), "");
    }
    sepconv_plan_destroy(plan);
  };
  for (int64_t n : sizes)
    for (int64_t h : sizes)
      for (int64_t w : sizes)
        for (int64_t c : sizes)
          for (int32_t op = 0; op < 3; ++op) {
            sepconv_spec spec = spec_of(static_cast<sepconv_op>(op), {n, h, w, c}, 3);
            spec.padding = static_cast<int32_t>((n ^ h ^ w ^ c) & 1);
            attempt(spec);
          }
  generator r(5);
  const int64_t cases = sample(60000);
  for (int64_t i = 0; i < cases; ++i) {
    sepconv_spec spec = spec_of(static_cast<sepconv_op>(r.between(0, 1)), {1, r.pick(sizes), r.pick(sizes), r.between(1, 3)}, 3);
    const auto size = [&] { return r.one_in(2) ? r.between(0, 3) : r.pick(sizes) - (r.one_in(3) ? r.between(0, 1) : 0); };
    spec.padding = static_cast<int32_t>(r.between(0, 2));
    spec.layout = static_cast<int32_t>(r.between(0, 2));
    spec.num_threads = r.one_in(2) ? 1 : INT32_MAX;
    for (int a = 0; a < 2; ++a) {
      spec.kernel[a] = size();
      spec.stride[a] = size();
      spec.dilation[a] = size();
      spec.pad_before[a] = size();
      spec.pad_after[a] = size();
    }
    spec.multiplier = size();
    spec.filters = size();
    for (int a = 0; a < 4; ++a) {
      spec.input_strides[a] = r.one_in(2) ? size() : -size();
      spec.output_strides[a] = size();
    }
    attempt(spec);
  }
  EXPECT_GT(accepted, 50);
  EXPECT_GT(refused, 50);
}

TEST(geometry, the_lowest_stride_is_refused) {
  sepconv_spec spec = good;
  spec.layout = SEPCONV_STRIDED;
  for (int64_t& stride : spec.output_strides) stride = 1;
  spec.input_strides[2] = INT64_MIN;
  EXPECT_NE(refusal(spec).find("`input_strides`"), std::string::npos);
}
