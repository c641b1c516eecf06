// The gradients of one convolution, for Python.
#pragma once

#include <pybind11/numpy.h>

#include <array>
#include <optional>
#include <vector>

#include "sepconv/sepconv.hpp"

namespace sepconv_python {

using quad = std::array<std::int64_t, 4>;

class Vjp {
 public:
  using optional_array = std::optional<pybind11::array>;
  using weights = std::array<optional_array, 4>;    // depthwise kernel and bias, pointwise kernel and bias, in the type of sums
  using gradients = std::array<optional_array, 5>;  // the input's, then those of the weights

  Vjp(const sepconv_spec& spec, const std::int64_t* output_shape, int wanted, const quad& gradient_strides);

  // `kept` and `output_gradient` are C-contiguous in the order of the plan's output strides; the gradient of the input has the strides
  // that were asked for.
  void run(const weights& weights, const pybind11::array& input, const optional_array& kept, const pybind11::array& output_gradient,
           const gradients& gradients) const;

  // The same of memory that fits.
  void run(const sepconv_weights& weights, const void* input, const void* kept, const void* output_gradient,
           const sepconv_gradients& gradients) const;

 private:
  sepconv::vjp vjp_;
  sepconv_dtype dtype_, sums_;
  std::array<pybind11::ssize_t, 6> counts_;  // elements of the input's and the weights' gradients, and of the output
  std::vector<pybind11::ssize_t> depthwise_, pointwise_;  // shapes of the kernels
};

}  // namespace sepconv_python
