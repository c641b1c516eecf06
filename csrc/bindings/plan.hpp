// One convolution, for Python.
#pragma once

#include <pybind11/numpy.h>

#include <optional>

#include "sepconv/sepconv.hpp"
#include "vjp.hpp"

namespace sepconv_python {

class Plan {
 public:
  using optional_array = std::optional<pybind11::array>;

  explicit Plan(const sepconv_spec& spec);

  pybind11::tuple output_shape() const;
  std::int64_t pack_key() const { return plan_.pack_key(); }
  double flops() const { return info_.flops; }
  std::int64_t multiplier() const { return spec_.multiplier; }
  pybind11::dict describe() const;

  sepconv::pack pack(const optional_array& depthwise_kernel, const optional_array& depthwise_bias,
                     const optional_array& pointwise_kernel, const optional_array& bias) const;
  sepconv::pack pack(const sepconv_weights& weights) const;  // of arrays that fit

  // Weights in the type of sums, without addresses.
  sepconv_weights layout(const quad& depthwise_strides, const std::array<std::int64_t, 2>& pointwise_strides) const;

  void run(const sepconv::pack& pack, const pybind11::array& input, pybind11::array& output) const;
  void run(const sepconv::pack& pack, const void* input, void* output) const;  // of arrays that fit

  // The gradients of this convolution.
  Vjp vjp(int wanted, const quad& gradient_strides) const;

  // (n, h, w, c).
  pybind11::array_t<double> reference(const pybind11::array_t<double, pybind11::array::c_style | pybind11::array::forcecast>& input,
                                      const optional_array& depthwise_kernel, const optional_array& depthwise_bias,
                                      const optional_array& pointwise_kernel, const optional_array& bias) const;

 private:
  // Weight arrays of one type.
  struct weight_arrays;
  weight_arrays collect(const optional_array& depthwise_kernel, const optional_array& depthwise_bias,
                        const optional_array& pointwise_kernel, const optional_array& bias) const;

  sepconv_spec spec_;
  sepconv::plan plan_;
  sepconv_plan_info info_;
  bool short_;
};

}  // namespace sepconv_python
