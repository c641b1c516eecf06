#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "module.hpp"
#include "plan.hpp"
#include "workspace.hpp"

namespace py = pybind11;

namespace sepconv_python {
namespace {

using pair = std::array<std::int64_t, 2>;

sepconv_spec make_spec(const std::string& op, const std::string& dtype, const quad& input_shape, const quad& input_strides,
                       const pair& kernel, const pair& strides, const pair& dilation, const std::array<pair, 2>& padding,
                       std::int64_t multiplier, std::int64_t filters, const quad& output_strides,
                       const std::pair<std::string, py::tuple>& activation,
                       const std::pair<std::string, py::tuple>& depthwise_activation, int num_threads, const std::string& isa,
                       const std::string& precision) {
  sepconv_spec spec = sepconv::make_spec();
  if (op == "separable")
    spec.op = SEPCONV_SEPARABLE;
  else if (op == "depthwise")
    spec.op = SEPCONV_DEPTHWISE;
  else if (op == "pointwise")
    spec.op = SEPCONV_POINTWISE;
  else
    throw py::value_error("`op` must be one of separable, depthwise, pointwise. Received: " + op);
  spec.dtype = dtype_of(dtype);
  spec.layout = SEPCONV_STRIDED;
  spec.padding = SEPCONV_EXPLICIT;
  spec.num_threads = num_threads;
  spec.isa = isa.c_str();
  if (precision == "bfloat16")
    spec.precision = SEPCONV_PRECISION_BFLOAT16;
  else if (precision != "default")
    throw py::value_error("`precision` must be one of default, bfloat16. Received: " + precision);
  for (int i = 0; i < 4; ++i) {
    spec.input_shape[i] = input_shape[i];
    spec.input_strides[i] = input_strides[i];
    spec.output_strides[i] = output_strides[i];
  }
  for (int i = 0; i < 2; ++i) {
    spec.kernel[i] = kernel[i];
    spec.stride[i] = strides[i];
    spec.dilation[i] = dilation[i];
    spec.pad_before[i] = padding[i][0];
    spec.pad_after[i] = padding[i][1];
  }
  spec.multiplier = multiplier;
  spec.filters = filters;
  spec.activation = activation_of(activation.first, activation.second);
  spec.depthwise_activation = activation_of(depthwise_activation.first, depthwise_activation.second);
  return spec;
}

py::ssize_t product(const std::int64_t* shape) { return shape[0] * shape[1] * shape[2] * shape[3]; }

}  // namespace

struct Plan::weight_arrays {
  sepconv_weights weights = sepconv::make_weights();
  bool typed = false;

  // NULL for none. Where there are no `strides` to be told, the array must be contiguous.
  const void* add(const optional_array& array, const std::vector<py::ssize_t>& shape, const char* name,
                  std::int64_t* strides = nullptr) {
    if (!array) return nullptr;
    require_shape(*array, shape, name);
    if (strides)
      strides_of(*array, name, strides);
    else
      require_contiguous(*array, name);
    weights.strided = 1;
    const sepconv_dtype dtype = dtype_of(*array);
    if (typed && weights.dtype != dtype) throw py::type_error("all weights must have one dtype");
    weights.dtype = dtype;
    typed = true;
    return array->data();
  }
};

Plan::Plan(const sepconv_spec& spec) : spec_(spec), plan_(spec), info_(plan_.info()) {
  spec_.isa = nullptr;  // the string was the caller's
  short_ = info_.flops < 4e5;
}

py::tuple Plan::output_shape() const {
  const std::int64_t* s = info_.output_shape;
  return py::make_tuple(s[0], s[1], s[2], s[3]);
}

sepconv::pack Plan::pack(const optional_array& depthwise_kernel, const optional_array& depthwise_bias,
                   const optional_array& pointwise_kernel, const optional_array& bias) const {
  return pack(collect(depthwise_kernel, depthwise_bias, pointwise_kernel, bias).weights);
}

sepconv::pack Plan::pack(const sepconv_weights& weights) const {
  py::gil_scoped_release release;
  return plan_.make_pack(weights);
}

sepconv_weights Plan::layout(const quad& depthwise_strides, const pair& pointwise_strides) const {
  sepconv_weights w = sepconv::make_weights();
  w.dtype = spec_.dtype == SEPCONV_FLOAT64 ? SEPCONV_FLOAT64 : SEPCONV_FLOAT32;
  w.strided = 1;
  std::copy(depthwise_strides.begin(), depthwise_strides.end(), w.depthwise_strides);
  std::copy(pointwise_strides.begin(), pointwise_strides.end(), w.pointwise_strides);
  return w;
}

Plan::weight_arrays Plan::collect(const optional_array& depthwise_kernel, const optional_array& depthwise_bias,
                      const optional_array& pointwise_kernel, const optional_array& bias) const {
  const py::ssize_t channels = spec_.input_shape[3], multiplier = spec_.multiplier;
  const py::ssize_t depth = channels * multiplier, filters = info_.output_shape[3];
  weight_arrays w;
  w.weights.depthwise_kernel =
      w.add(depthwise_kernel, {spec_.kernel[0], spec_.kernel[1], channels, multiplier}, "depthwise_kernel",
            w.weights.depthwise_strides);
  w.weights.depthwise_bias = w.add(depthwise_bias, {depth}, "depthwise_bias");
  w.weights.pointwise_kernel = w.add(pointwise_kernel, {depth, filters}, "pointwise_kernel", w.weights.pointwise_strides);
  w.weights.bias = w.add(bias, {filters}, "bias");
  return w;
}

void Plan::run(const sepconv::pack& pack, const py::array& input, py::array& output) const {
  if (input.itemsize() != static_cast<py::ssize_t>(item_size(static_cast<sepconv_dtype>(spec_.dtype))) ||
      output.itemsize() != input.itemsize())
    throw py::type_error("`input` and `output` must have the plan's dtype");
  if (input.size() != product(spec_.input_shape) || output.size() != product(info_.output_shape))
    throw py::value_error("`input` and `output` must have the plan's shapes");
  run(pack, input.data(), output.mutable_data());
}

void Plan::run(const sepconv::pack& pack, const void* input, void* output) const {
  const workspace scratch(plan_.workspace_size());
  if (short_) return plan_.run(pack, input, output, scratch.get());  // below 20 us: not worth letting others in
  py::gil_scoped_release release;
  plan_.run(pack, input, output, scratch.get());
}

py::array_t<double> Plan::reference(const py::array_t<double, py::array::c_style | py::array::forcecast>& input,
                              const optional_array& depthwise_kernel, const optional_array& depthwise_bias,
                              const optional_array& pointwise_kernel, const optional_array& bias) const {
  weight_arrays w = collect(depthwise_kernel, depthwise_bias, pointwise_kernel, bias);
  if (depthwise_kernel) require_contiguous(*depthwise_kernel, "depthwise_kernel");
  if (pointwise_kernel) require_contiguous(*pointwise_kernel, "pointwise_kernel");
  w.weights.strided = 0;
  if (input.size() != product(spec_.input_shape)) throw py::value_error("`input` must have the plan's shape");
  const std::int64_t* s = info_.output_shape;
  py::array_t<double> output(std::vector<py::ssize_t>(s, s + 4));
  sepconv_spec spec = spec_;
  spec.layout = SEPCONV_CHANNELS_LAST;
  const double* from = input.data();
  double* to = output.mutable_data();
  py::gil_scoped_release release;
  sepconv::check(sepconv_reference(&spec, &w.weights, from, to));
  return output;
}

Vjp Plan::vjp(int wanted, const quad& gradient_strides) const {
  sepconv_spec spec = spec_;
  spec.isa = info_.isa;
  return Vjp(spec, info_.output_shape, wanted, gradient_strides);
}

py::dict Plan::describe() const {
  py::dict d;
  d["isa"] = info_.isa;
  d["gather_lanes"] = info_.gather;
  d["lanes"] = info_.lanes;
  d["precision"] = info_.precision;
  if (info_.kernel_rows) d["kernel"] = py::make_tuple(info_.kernel_rows, info_.kernel_columns);  // else nothing is multiplied
  d["tile"] = info_.tile_pixels;
  d["tiles"] = info_.tile_count;
  d["split"] = info_.split;
  d["threads"] = info_.num_threads;
  d["flops"] = info_.flops;
  d["bytes"] = info_.bytes;
  d["workspace"] = info_.workspace_size;
  return d;
}

void register_plan(py::module_& m) {
  py::class_<sepconv::pack>(m, "Pack", "Weights in the order that the kernels read.");
  py::class_<Plan>(m, "Plan", "Geometry and schedule of one convolution. Immutable; threads may share it.")
      .def(py::init([](const std::string& op, const std::string& dtype, const quad& input_shape, const quad& input_strides,
                       const pair& kernel, const pair& strides, const pair& dilation, const std::array<pair, 2>& padding,
                       std::int64_t multiplier, std::int64_t filters, const quad& output_strides,
                       const std::pair<std::string, py::tuple>& activation,
                       const std::pair<std::string, py::tuple>& depthwise_activation, int num_threads, const std::string& isa,
                       const std::string& precision) {
             return Plan(make_spec(op, dtype, input_shape, input_strides, kernel, strides, dilation, padding, multiplier, filters,
                                   output_strides, activation, depthwise_activation, num_threads, isa, precision));
           }),
           py::arg("op"), py::arg("dtype"), py::arg("input_shape"), py::arg("input_strides"), py::arg("kernel"),
           py::arg("strides"), py::arg("dilation"), py::arg("padding"), py::arg("multiplier"), py::arg("filters"),
           py::arg("output_strides"), py::arg("activation") = py::make_tuple("linear", py::tuple()),
           py::arg("depthwise_activation") = py::make_tuple("linear", py::tuple()), py::arg("num_threads") = 0,
           py::arg("isa") = "", py::arg("precision") = "default")
      .def_property_readonly("output_shape", &Plan::output_shape)
      .def_property_readonly("pack_key", &Plan::pack_key)
      .def_property_readonly("flops", &Plan::flops)
      .def("describe", &Plan::describe)
      .def("vjp", &Plan::vjp, py::arg("wanted"), py::arg("gradient_strides"))
      .def("pack", py::overload_cast<const Plan::optional_array&, const Plan::optional_array&, const Plan::optional_array&,
                                     const Plan::optional_array&>(&Plan::pack, py::const_),
           py::arg("depthwise_kernel"), py::arg("depthwise_bias"), py::arg("pointwise_kernel"),
           py::arg("bias"))
      .def("run", py::overload_cast<const sepconv::pack&, const py::array&, py::array&>(&Plan::run, py::const_),
           py::arg("pack"), py::arg("input"), py::arg("output"))
      .def("reference", &Plan::reference, py::arg("input"), py::arg("depthwise_kernel"), py::arg("depthwise_bias"),
           py::arg("pointwise_kernel"), py::arg("bias"),
           "The result in float64, by nested loops. `input` is (n, h, w, c) float64; so is the result.");
}

}  // namespace sepconv_python
