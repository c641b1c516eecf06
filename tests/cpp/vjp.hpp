// One run of gradients on `tensors`, every buffer exactly as large as promised and between guard pages.
#pragma once

#include "cases.hpp"

namespace test {

struct gradients {
  std::vector<double> input, depthwise, depthwise_bias, pointwise, bias;

  std::vector<const std::vector<double>*> all() const { return {&input, &depthwise, &depthwise_bias, &pointwise, &bias}; }
};

inline const char* gradient_name(std::size_t i) {
  static const char* const names[] = {"input", "depthwise_kernel", "depthwise_bias", "pointwise_kernel", "bias"};
  return names[i];
}

// All gradients that the operator has.
inline int32_t every_gradient(int32_t op) {
  return op == SEPCONV_SEPARABLE   ? 31
         : op == SEPCONV_DEPTHWISE ? SEPCONV_GRADIENT_INPUT | SEPCONV_GRADIENT_DEPTHWISE_KERNEL | SEPCONV_GRADIENT_BIAS
                                   : SEPCONV_GRADIENT_INPUT | SEPCONV_GRADIENT_POINTWISE_KERNEL | SEPCONV_GRADIENT_BIAS;
}

// The flag of a transposed gradient of the pointwise kernel, where there can be one.
inline int32_t transposed(const sepconv_spec& spec) {
  return spec.op != SEPCONV_DEPTHWISE && spec.multiplier <= 1 ? SEPCONV_GRADIENT_TRANSPOSED : 0;
}

// Lengths of the gradients in the order of their bits; 0 where not wanted.
inline std::array<std::size_t, 5> gradient_counts(const sepconv_spec& s, int32_t wanted) {
  const int64_t depth = s.input_shape[3] * std::max<int64_t>(s.multiplier, 1);
  const int64_t taps = std::max<int64_t>(s.kernel[0], 1) * std::max<int64_t>(s.kernel[1], 1);
  const int64_t input = s.input_shape[0] * s.input_shape[1] * s.input_shape[2] * s.input_shape[3];
  const int64_t counts[] = {input, taps * depth, depth, depth * s.filters, s.op == SEPCONV_DEPTHWISE ? depth : s.filters};
  std::array<std::size_t, 5> out{};
  for (std::size_t i = 0; i < 5; ++i) out[i] = wanted >> i & 1 ? static_cast<std::size_t>(counts[i]) : 0;
  return out;
}

inline gradients reference_gradients(const sepconv_spec& spec, const tensors& t, const std::vector<double>& up, int32_t wanted) {
  sepconv_weights w = sepconv::make_weights();
  w.dtype = SEPCONV_FLOAT64;
  w.depthwise_kernel = data_or_null(t.depthwise);
  w.depthwise_bias = data_or_null(t.depthwise_bias);
  w.pointwise_kernel = data_or_null(t.pointwise);
  w.bias = data_or_null(t.bias);
  gradients g;
  const auto counts = gradient_counts(spec, wanted);
  std::vector<double>* arrays[] = {&g.input, &g.depthwise, &g.depthwise_bias, &g.pointwise, &g.bias};
  sepconv_gradients to = sepconv::make_gradients();
  void** places[] = {&to.input, &to.depthwise_kernel, &to.depthwise_bias, &to.pointwise_kernel, &to.bias};
  for (std::size_t i = 0; i < 5; ++i) {
    arrays[i]->resize(counts[i]);
    if (counts[i]) *places[i] = arrays[i]->data();
  }
  sepconv::check(sepconv_reference_vjp(&spec, &w, t.input.data(), up.data(), &to));
  return g;
}

// What a derivative is computed from, in the output's type: the output, or the convolution before its activation.
inline std::vector<double> kept_values(sepconv_spec spec, const tensors& t) {
  const int32_t keeps = sepconv_activation_keeps(&spec.activation);
  if (keeps == SEPCONV_KEEP_NOTHING) return {};
  if (keeps == SEPCONV_KEEP_ARGUMENT) spec.activation = {};
  return stored_reference(spec, t);
}

inline gradients run_vjp(const sepconv_spec& spec, const tensors& t, const std::vector<double>& up, int32_t wanted,
                         flush side = flush::back, const quad* gradient_stride = nullptr,
                         kernel_order kernels = kernel_order::contiguous) {
  const sepconv::vjp vjp(spec, wanted, gradient_stride ? gradient_stride->data() : nullptr);
  const quad in = {spec.input_shape[0], spec.input_shape[1], spec.input_shape[2], spec.input_shape[3]};
  const quad out = output_shape(spec);
  quad in_stride = contiguous_strides(in, spec.layout), out_stride = contiguous_strides(out, spec.layout);
  for (std::size_t i = 0; spec.layout == SEPCONV_STRIDED && i < 4; ++i) {
    in_stride[i] = spec.input_strides[i];
    out_stride[i] = spec.output_strides[i];
  }
  const weight_arrays weights(t, sum_dtype(spec.dtype), side, spec, kernels);
  strided_array input(in, in_stride, spec.dtype, side), output_gradient(out, out_stride, spec.dtype, side);
  input.set(t.input);
  output_gradient.set(up);
  input.memory().read_only();
  output_gradient.memory().read_only();
  std::unique_ptr<strided_array> kept;
  if (const std::vector<double> values = kept_values(spec, t); !values.empty()) {
    kept = std::make_unique<strided_array>(out, out_stride, spec.dtype, side);
    kept->set(values);
    kept->memory().read_only();
  }
  const auto counts = gradient_counts(spec, wanted);
  strided_array to_input(in, gradient_stride ? *gradient_stride : in_stride, spec.dtype, side);
  std::vector<std::unique_ptr<guarded>> memory;
  sepconv_gradients to = sepconv::make_gradients();
  void** places[] = {&to.input, &to.depthwise_kernel, &to.depthwise_bias, &to.pointwise_kernel, &to.bias};
  const int32_t sums = sum_dtype(spec.dtype);
  for (std::size_t i = 0; i < 5; ++i) {
    memory.push_back(std::make_unique<guarded>(i ? counts[i] * size_of(sums) : 0, side));
    if (counts[i]) *places[i] = i ? memory[i]->get() : to_input.origin();
  }
  guarded workspace(vjp.workspace_size(), side);
  workspace.fill(0xff);
  vjp.run(weights.view, input.origin(), kept ? kept->origin() : nullptr, output_gradient.origin(), to, workspace.get());
  if (!to_input.gaps_intact() || !workspace.intact()) throw std::runtime_error("wrote beside a buffer: " + describe(spec));
  gradients g;
  std::vector<double>* arrays[] = {&g.input, &g.depthwise, &g.depthwise_bias, &g.pointwise, &g.bias};
  if (counts[0]) g.input = to_input.values();
  for (std::size_t i = 1; i < 5; ++i) {
    if (!memory[i]->intact()) throw std::runtime_error("wrote beside a gradient: " + describe(spec));
    for (std::size_t k = 0; k < counts[i]; ++k) arrays[i]->push_back(get(memory[i]->get(), sums, static_cast<int64_t>(k)));
  }
  if (wanted & SEPCONV_GRADIENT_TRANSPOSED) {
    const std::vector<double> turned = g.pointwise;
    const std::size_t filters = static_cast<std::size_t>(spec.filters), depth = turned.size() / filters;
    for (std::size_t k = 0; k < turned.size(); ++k) g.pointwise[k % depth * filters + k / depth] = turned[k];
  }
  return g;
}

// The first gradient that differs, or "".
inline std::string gradient_difference(const gradients& got, const gradients& wanted) {
  for (std::size_t i = 0; i < 5; ++i)
    if (!same(*got.all()[i], *wanted.all()[i])) return std::string(gradient_name(i)) + ": " + difference(*got.all()[i], *wanted.all()[i]);
  return "";
}

}  // namespace test
