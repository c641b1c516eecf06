#include "plan/geometry.hpp"

#include <algorithm>
#include <cstdlib>

#include "plan/checked.hpp"

namespace sepconv {
namespace {

std::string text(int64_t value) { return std::to_string(value); }

int64_t at_least(int64_t value, int64_t least, const char* field) {
  if (value < least)
    invalid(std::string("`") + field + "` must be at least " + text(least) + ". Received: " + text(value));
  return value;
}

int64_t one_of(int64_t value, int64_t count, const char* field) {
  if (value < 0 || value >= count)
    invalid(std::string("`") + field + "` must be one of 0 to " + text(count - 1) + ". Received: " + text(value));
  return value;
}

int64_t or_one(int64_t value) { return value == 0 ? 1 : value; }

sepconv_activation checked(const sepconv_activation& activation, const char* field) {
  one_of(activation.kind, SEPCONV_ACTIVATION_COUNT, field);
  return activation;
}

// Sizes and padding of one axis; sets the number of outputs and returns how far positions reach.
int64_t set_axis(const sepconv_spec& spec, geometry& g, int axis) {
  const int64_t size = g.input[axis + 1];
  const int64_t kernel = g.kernel[axis] = at_least(or_one(spec.kernel[axis]), 1, "kernel");
  const int64_t stride = at_least(or_one(spec.stride[axis]), 1, "stride");
  const int64_t asked = at_least(or_one(spec.dilation[axis]), 1, "dilation");
  const int64_t dilation = g.dilation[axis] = kernel == 1 ? 1 : asked;  // one tap has no neighbour to be away from
  const int64_t reach = checked_add(checked_mul(kernel - 1, dilation, "dilation"), int64_t{1}, "kernel");
  int64_t before = 0, after = 0, outputs = 0;
  if (spec.padding == SEPCONV_SAME && size > 0) {
    outputs = (size - 1) / stride + 1;
    const int64_t covered = checked_add((outputs - 1) * stride, reach, "kernel");  // fits: below size + stride
    before = covered > size ? (covered - size) / 2 : 0;
  } else {
    if (spec.padding == SEPCONV_EXPLICIT) {
      before = at_least(spec.pad_before[axis], 0, "pad_before");
      after = at_least(spec.pad_after[axis], 0, "pad_after");
    }
    const int64_t padded = checked_add(checked_add(size, before, "pad_before"), after, "pad_after");
    outputs = padded >= reach ? (padded - reach) / stride + 1 : 0;
  }
  if (outputs < 1)
    invalid("the output would be empty: `input_shape` is " + text(size) + " along " + (axis ? "width" : "height") +
            ", `kernel` reaches over " + text(reach) + ". Received: stride " + text(stride) + ", dilation " + text(dilation) +
            ", padding " + text(before) + " and " + text(after));
  g.pad_before[axis] = before;
  g.output[axis + 1] = outputs;
  g.stride[axis] = outputs == 1 ? 1 : stride;  // nor has one output
  const int64_t padded = checked_add(checked_add(size, before, "pad_before"), after, "pad_after");
  return checked_add(checked_add(checked_mul(outputs, g.stride[axis], "stride"), reach, "kernel"), padded, "input_shape");
}

quad contiguous(const quad& shape, int32_t layout, const char* what) {
  const int64_t h = shape[1], w = shape[2], c = shape[3];
  const int64_t plane = checked_mul(h, w, what), row = checked_mul(w, c, what);
  const int64_t image = checked_mul(plane, c, what);
  if (layout == SEPCONV_CHANNELS_FIRST) return {image, w, 1, plane};
  return {image, row, c, 1};
}

// The distance between the lowest and the highest element must be a sensible number of bytes.
void check_span(const quad& shape, const quad& step, std::size_t element, const char* what) {
  int64_t span = 1;
  for (int i = 0; i < 4; ++i) {
    if (shape[i] == 0) continue;
    if (step[i] == INT64_MIN) too_large(step[i], " times ", shape[i], what);
    span = checked_add(span, checked_mul(shape[i] - 1, std::abs(step[i]), what), what);
  }
  checked_mul(span, static_cast<int64_t>(element), what);
}

void check_output_step(const geometry& g) {
  for (int i = 0; i < 4; ++i)
    if (g.output[i] > 1 && g.output_step[i] < 1)
      invalid("`output_strides` must be positive. Received: " + text(g.output_step[i]));
}

}  // namespace

ptrdiff_t input_end(const geometry& g) {
  ptrdiff_t end = 1;
  for (std::size_t i = 0; i < 4; ++i) end += std::max<ptrdiff_t>((g.input[i] - 1) * g.input_step[i], 0);  // fits: check_span
  return end;
}

std::size_t element_size(sepconv_dtype dtype) {
  return dtype == SEPCONV_FLOAT64 ? 8 : dtype == SEPCONV_FLOAT32 ? 4 : 2;
}

sepconv_dtype sum_dtype(sepconv_dtype dtype) { return dtype == SEPCONV_FLOAT64 ? SEPCONV_FLOAT64 : SEPCONV_FLOAT32; }

std::size_t sum_size(sepconv_dtype dtype) { return element_size(sum_dtype(dtype)); }

bool stores_sums(int32_t dtype) { return dtype == SEPCONV_FLOAT32 || dtype == SEPCONV_FLOAT64; }

geometry make_geometry(const sepconv_spec& spec) {
  geometry g = {};
  g.op = static_cast<sepconv_op>(one_of(spec.op, 3, "op"));
  g.dtype = static_cast<sepconv_dtype>(one_of(spec.dtype, 4, "dtype"));
  one_of(spec.layout, 3, "layout");
  one_of(spec.padding, 3, "padding");
  const bool pairs = one_of(spec.precision, 2, "precision") == SEPCONV_PRECISION_BFLOAT16;
  at_least(spec.num_threads, 0, "num_threads");
  g.activation = checked(spec.activation, "activation");
  g.depthwise_activation = checked(spec.depthwise_activation, "depthwise_activation");
  if (g.op != SEPCONV_SEPARABLE && g.depthwise_activation.kind != SEPCONV_LINEAR)
    invalid("`depthwise_activation` is for SEPCONV_SEPARABLE only. Received: " + text(g.depthwise_activation.kind));
  for (int i = 0; i < 4; ++i) g.input[i] = at_least(spec.input_shape[i], i == 3 ? 1 : 0, "input_shape");

  g.pairs = pairs && g.multiplies();
  if (g.pairs && g.dtype == SEPCONV_FLOAT64)
    invalid("`precision` must be SEPCONV_PRECISION_DEFAULT (0) for SEPCONV_FLOAT64. Received: " + text(spec.precision));

  g.multiplier = at_least(or_one(spec.multiplier), 1, "multiplier");
  g.depth = checked_mul(g.channels(), g.multiplier, "multiplier");
  g.output[0] = g.input[0];
  const pair positions = {set_axis(spec, g, 0), set_axis(spec, g, 1)};
  g.output[3] = g.multiplies() ? at_least(spec.filters, 1, "filters") : g.depth;
  g.taps = checked_mul(g.kernel[0], g.kernel[1], "kernel");
  if (g.op == SEPCONV_POINTWISE && (g.taps != 1 || g.multiplier != 1))
    invalid("`kernel` and `multiplier` must be 1 for SEPCONV_POINTWISE. Received: " + text(g.taps) + " taps, multiplier " +
            text(g.multiplier));
  g.image_pixels = checked_mul(g.output[1], g.output[2], "input_shape");
  g.pixels = checked_mul(g.image_pixels, g.batch(), "input_shape");
  const char* larger = g.pixels > g.filters() ? "input_shape" : "filters";
  checked_mul(checked_mul(g.pixels, g.filters(), larger), int64_t{8}, larger);  // whatever the strides

  const bool strided = spec.layout == SEPCONV_STRIDED;
  g.input_step = contiguous(g.input, spec.layout, "input_shape");
  g.output_step = contiguous(g.output, spec.layout, "filters");
  for (int i = 0; strided && i < 4; ++i) {
    g.input_step[i] = spec.input_strides[i];
    g.output_step[i] = spec.output_strides[i];
  }
  check_span(g.input, g.input_step, element_size(g.dtype), "input_strides");
  check_span(g.output, g.output_step, element_size(g.dtype), "output_strides");
  // Kernels form the addresses of all positions inside the padded input, and their distances.
  for (int i = 0; i < 2; ++i)
    checked_mul(checked_mul(positions[i], std::abs(g.input_step[i + 1]), "dilation"), int64_t{8}, "dilation");
  check_output_step(g);
  // Weights in sums, padded to blocks and panels.
  const int64_t padded = 64 + 64;
  checked_mul(checked_mul(checked_add(g.depth, checked_mul(g.multiplier, padded, "multiplier"), "multiplier"), g.taps, "kernel"), int64_t{8}, "kernel");
  checked_mul(checked_mul(checked_add(g.depth, padded, "multiplier"), checked_add(g.filters(), padded, "filters"), "filters"),
              int64_t{8}, "filters");
  return g;
}

double flops(const geometry& g) {
  const double depthwise = g.op == SEPCONV_POINTWISE ? 0 : static_cast<double>(g.depth) * static_cast<double>(g.taps);
  const double pointwise = g.multiplies() ? static_cast<double>(g.depth) * static_cast<double>(g.filters()) : 0;
  return 2 * static_cast<double>(g.pixels) * (depthwise + pointwise);
}

double bytes(const geometry& g) {
  double input = 1;
  for (int64_t size : g.input) input *= static_cast<double>(size);
  const double output = static_cast<double>(g.pixels) * static_cast<double>(g.filters());
  const double weights = static_cast<double>(g.depth) * static_cast<double>(g.taps + (g.multiplies() ? g.filters() : 0));
  return (input + output + weights) * static_cast<double>(element_size(g.dtype));
}

}  // namespace sepconv
