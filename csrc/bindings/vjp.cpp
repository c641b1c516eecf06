#include "vjp.hpp"

#include <pybind11/stl.h>

#include "arrays.hpp"
#include "module.hpp"
#include "workspace.hpp"

namespace py = pybind11;

namespace sepconv_python {
namespace {

py::ssize_t product(const std::int64_t* shape) { return shape[0] * shape[1] * shape[2] * shape[3]; }

void require(const py::array& array, sepconv_dtype dtype, py::ssize_t count, const char* name) {
  if (dtype_of(array) != dtype) throw py::type_error(std::string("`") + name + "` has the wrong dtype for these gradients");
  if (array.size() != count)
    throw py::value_error(std::string("`") + name + "` has the wrong size for these gradients. Received: shape=" +
                          py::str(array.attr("shape")).cast<std::string>());
}

const void* weight(const Vjp::optional_array& array, sepconv_dtype dtype, py::ssize_t count, const char* name) {
  if (!array) return nullptr;
  require(*array, dtype, count, name);
  require_contiguous(*array, name);
  return array->data();
}

const void* kernel(const Vjp::optional_array& array, sepconv_dtype dtype, const std::vector<py::ssize_t>& shape, const char* name,
                   std::int64_t* strides) {
  if (!array) return nullptr;
  if (dtype_of(*array) != dtype) throw py::type_error(std::string("`") + name + "` has the wrong dtype for these gradients");
  require_shape(*array, shape, name);
  strides_of(*array, name, strides);
  return array->data();
}

void* target(const Vjp::optional_array& array, sepconv_dtype dtype, py::ssize_t count, const char* name) {
  if (!array) return nullptr;
  require(*array, dtype, count, name);
  if (!(array->flags() & py::array::c_style) || !array->writeable())
    throw py::value_error(std::string("`") + name + "` must be C-contiguous and writeable");
  return const_cast<void*>(array->data());
}

const char* const names[] = {"input", "depthwise_kernel", "depthwise_bias", "pointwise_kernel", "bias"};

}  // namespace

Vjp::Vjp(const sepconv_spec& spec, const std::int64_t* output_shape, int wanted, const quad& gradient_strides)
    : vjp_(spec, wanted, gradient_strides.data()),
      dtype_(static_cast<sepconv_dtype>(spec.dtype)),
      sums_(spec.dtype == SEPCONV_FLOAT64 ? SEPCONV_FLOAT64 : SEPCONV_FLOAT32) {
  const py::ssize_t depth = spec.input_shape[3] * spec.multiplier, filters = output_shape[3];
  counts_ = {product(spec.input_shape), spec.kernel[0] * spec.kernel[1] * depth, depth, depth * filters, filters,
             product(output_shape)};
  depthwise_ = {spec.kernel[0], spec.kernel[1], spec.input_shape[3], spec.multiplier};
  pointwise_ = {depth, filters};
}

void Vjp::run(const weights& weights, const py::array& input, const optional_array& kept, const py::array& output_gradient,
              const gradients& gradients) const {
  sepconv_weights w = sepconv::make_weights();
  w.dtype = sums_;
  w.strided = 1;
  w.depthwise_kernel = kernel(weights[0], sums_, depthwise_, names[1], w.depthwise_strides);
  w.depthwise_bias = weight(weights[1], sums_, counts_[2], names[2]);
  w.pointwise_kernel = kernel(weights[2], sums_, pointwise_, names[3], w.pointwise_strides);
  w.bias = weight(weights[3], sums_, counts_[4], names[4]);
  sepconv_gradients g = sepconv::make_gradients();
  void** const places[] = {&g.input, &g.depthwise_kernel, &g.depthwise_bias, &g.pointwise_kernel, &g.bias};
  for (std::size_t i = 0; i < 5; ++i) *places[i] = target(gradients[i], i ? sums_ : dtype_, counts_[i], names[i]);
  require(input, dtype_, counts_[0], "input");
  const void* from = input.data();
  const void* of = weight(kept, dtype_, counts_[5], "kept");
  const void* up = weight(output_gradient, dtype_, counts_[5], "output_gradient");
  run(w, from, of, up, g);
}

void Vjp::run(const sepconv_weights& weights, const void* input, const void* kept, const void* output_gradient,
              const sepconv_gradients& gradients) const {
  const workspace scratch(vjp_.workspace_size());
  py::gil_scoped_release release;
  vjp_.run(weights, input, kept, output_gradient, gradients, scratch.get());
}

void register_vjp(py::module_& m) {
  py::class_<Vjp>(m, "Vjp", "The gradients of one convolution. Immutable; threads may share it.")
      .def("run", py::overload_cast<const Vjp::weights&, const py::array&, const Vjp::optional_array&, const py::array&,
                                    const Vjp::gradients&>(&Vjp::run, py::const_),
           py::arg("weights"), py::arg("input"), py::arg("kept"), py::arg("output_gradient"),
           py::arg("gradients"));
}

}  // namespace sepconv_python
