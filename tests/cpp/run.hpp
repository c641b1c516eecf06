// One run of the library on `tensors`, every buffer exactly as large as promised and between guard pages.
#pragma once

#include <memory>

#include "support.hpp"

namespace test {

inline quad contiguous_strides(const quad& shape, int32_t layout) {
  if (layout == SEPCONV_CHANNELS_FIRST)
    return {shape[1] * shape[2] * shape[3], shape[2], 1, shape[1] * shape[2]};
  return {shape[1] * shape[2] * shape[3], shape[2] * shape[3], shape[3], 1};
}

// Visits every element in channels_last order: visit(place in the logical array, offset in elements).
template <class F>
void for_each_element(const quad& shape, const quad& stride, F&& visit) {
  int64_t at = 0;
  for (int64_t n = 0; n < shape[0]; ++n)
    for (int64_t h = 0; h < shape[1]; ++h)
      for (int64_t w = 0; w < shape[2]; ++w)
        for (int64_t c = 0; c < shape[3]; ++c)
          visit(at++, n * stride[0] + h * stride[1] + w * stride[2] + c * stride[3]);
}

// An array in memory at any strides, its lowest and highest element flush to the ends of the buffer.
class strided_array {
 public:
  strided_array(const quad& shape, const quad& stride, int32_t dtype, flush side) : shape_(shape), stride_(stride), dtype_(dtype) {
    int64_t lowest = 0, highest = -1;
    for_each_element(shape, stride, [&](int64_t at, int64_t offset) {
      lowest = at ? std::min(lowest, offset) : offset;
      highest = at ? std::max(highest, offset) : offset;
    });
    start_ = -lowest;
    count_ = highest - lowest + 1;
    memory_ = std::make_unique<guarded>(static_cast<std::size_t>(count_) * size_of(dtype), side);
  }

  void set(const std::vector<double>& v) {
    for_each_element(shape_, stride_, [&](int64_t at, int64_t offset) {
      put(memory_->get(), dtype_, start_ + offset, v[static_cast<std::size_t>(at)]);
    });
  }
  std::vector<double> values() const {
    std::vector<double> out(static_cast<std::size_t>(count_of(shape_)));
    for_each_element(shape_, stride_, [&](int64_t at, int64_t offset) {
      out[static_cast<std::size_t>(at)] = get(memory_->get(), dtype_, start_ + offset);
    });
    return out;
  }
  // No byte of the buffer but those of the elements has changed.
  bool gaps_intact() const {
    std::vector<bool> ours(static_cast<std::size_t>(count_));
    for_each_element(shape_, stride_, [&](int64_t, int64_t offset) { ours[static_cast<std::size_t>(start_ + offset)] = true; });
    const std::size_t size = size_of(dtype_);
    for (std::size_t i = 0; i < ours.size() * size; ++i)
      if (!ours[i / size] && memory_->as<unsigned char>()[i] != guarded::pattern) return false;
    return memory_->intact();
  }
  void* origin() const { return memory_->as<char>() + start_ * static_cast<int64_t>(size_of(dtype_)); }
  guarded& memory() const { return *memory_; }

 private:
  quad shape_, stride_;
  int32_t dtype_;
  int64_t start_, count_;
  std::unique_ptr<guarded> memory_;
};

// How kernels lie: contiguous, in the order of PyTorch's axes, or from the last element to the first.
enum class kernel_order { contiguous, pytorch, backwards };

// Weights in guarded memory, as any type that holds them.
class weight_arrays {
 public:
  weight_arrays(const tensors& t, int32_t dtype, flush side) {
    view = sepconv::make_weights();
    view.dtype = dtype;
    view.depthwise_kernel = keep(t.depthwise, side);
    view.depthwise_bias = keep(t.depthwise_bias, side);
    view.pointwise_kernel = keep(t.pointwise, side);
    view.bias = keep(t.bias, side);
  }
  weight_arrays(const tensors& t, int32_t dtype, flush side, const sepconv_spec& spec, kernel_order order)
      : weight_arrays(t, dtype, side) {
    if (order == kernel_order::contiguous) return;
    const bool pytorch = order == kernel_order::pytorch;
    view.strided = 1;
    const quad shape = {std::max<int64_t>(spec.kernel[0], 1), std::max<int64_t>(spec.kernel[1], 1), spec.input_shape[3],
                        std::max<int64_t>(spec.multiplier, 1)};
    const int64_t taps = shape[0] * shape[1], depth = shape[2] * shape[3];
    if (!t.depthwise.empty()) {
      const quad step = pytorch ? quad{shape[1], 1, shape[3] * taps, taps} : quad{-shape[1] * depth, -depth, -shape[3], -1};
      view.depthwise_kernel = lay(t.depthwise, shape, step, side);
      std::copy(step.begin(), step.end(), view.depthwise_strides);
    }
    if (!t.pointwise.empty()) {
      const int64_t filters = static_cast<int64_t>(t.pointwise.size()) / depth;
      const quad step = pytorch ? quad{0, 0, 1, depth} : quad{0, 0, -filters, -1};
      view.pointwise_kernel = lay(t.pointwise, {1, 1, depth, filters}, step, side);
      std::copy(step.begin() + 2, step.end(), view.pointwise_strides);
    }
  }
  sepconv_weights view;

 private:
  const void* keep(const std::vector<double>& v, flush side) {
    if (v.empty()) return nullptr;
    kept_.push_back(std::make_unique<guarded>(v.size() * size_of(view.dtype), side));
    for (std::size_t i = 0; i < v.size(); ++i) put(kept_.back()->get(), view.dtype, static_cast<int64_t>(i), v[i]);
    kept_.back()->read_only();
    return kept_.back()->get();
  }
  const void* lay(const std::vector<double>& v, const quad& shape, const quad& step, flush side) {
    laid_.push_back(std::make_unique<strided_array>(shape, step, view.dtype, side));
    laid_.back()->set(v);
    laid_.back()->memory().read_only();
    return laid_.back()->origin();
  }
  std::vector<std::unique_ptr<guarded>> kept_;
  std::vector<std::unique_ptr<strided_array>> laid_;
};

inline int32_t sum_dtype(int32_t dtype) { return dtype == SEPCONV_FLOAT64 ? SEPCONV_FLOAT64 : SEPCONV_FLOAT32; }

struct run_options {
  flush side = flush::back;
  int32_t weights = -1;  // their type; -1: that of sums
  kernel_order kernels = kernel_order::contiguous;
};

// The output, channels_last. Throws when a call fails or something outside the output was written.
inline std::vector<double> run(const sepconv_spec& spec, const tensors& t, run_options options = {}) {
  const sepconv::plan plan(spec);
  const sepconv_plan_info info = plan.info();
  const quad in = {spec.input_shape[0], spec.input_shape[1], spec.input_shape[2], spec.input_shape[3]};
  const quad out = {info.output_shape[0], info.output_shape[1], info.output_shape[2], info.output_shape[3]};
  quad in_stride = contiguous_strides(in, spec.layout), out_stride = contiguous_strides(out, spec.layout);
  for (std::size_t i = 0; spec.layout == SEPCONV_STRIDED && i < 4; ++i) {
    in_stride[i] = spec.input_strides[i];
    out_stride[i] = spec.output_strides[i];
  }
  const weight_arrays weights(t, options.weights < 0 ? sum_dtype(spec.dtype) : options.weights, options.side, spec,
                              options.kernels);
  const sepconv::pack pack = plan.make_pack(weights.view);
  strided_array input(in, in_stride, spec.dtype, options.side), output(out, out_stride, spec.dtype, options.side);
  input.set(t.input);
  input.memory().read_only();
  // Aligned as promised: sizes are whole cache lines. Its contents mean nothing: all ones is NaN.
  guarded workspace(plan.workspace_size(), options.side);
  workspace.fill(0xff);
  plan.run(pack, input.origin(), output.origin(), workspace.get());
  if (!output.gaps_intact()) throw std::runtime_error("wrote beside the output: " + describe(spec));
  if (!workspace.intact()) throw std::runtime_error("wrote beside the workspace: " + describe(spec));
  return output.values();
}

inline std::vector<double> run_on(const std::string& isa, sepconv_spec spec, const tensors& t, run_options options = {}) {
  spec.isa = isa.c_str();
  return run(spec, t, options);
}

// The first place where two outputs differ, for messages.
inline std::string difference(const std::vector<double>& got, const std::vector<double>& wanted) {
  std::ostringstream out;
  out.precision(17);
  for (std::size_t i = 0; i < got.size() && i < wanted.size(); ++i)
    if (!same(got[i], wanted[i])) {
      out << "element " << i << " of " << got.size() << ": " << got[i] << " instead of " << wanted[i];
      return out.str();
    }
  out << got.size() << " elements, " << wanted.size() << " expected";
  return out.str();
}

}  // namespace test
