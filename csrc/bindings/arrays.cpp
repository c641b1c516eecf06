#include "arrays.hpp"

#include <pybind11/stl.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>

#include "module.hpp"

namespace py = pybind11;

namespace sepconv_python {
namespace {

struct activation_row {
  const char* name;
  sepconv_activation_kind kind;
  int params;
  double defaults[3];
};

const activation_row activation_rows[] = {
    {"linear", SEPCONV_LINEAR, 0, {}},
    {"relu", SEPCONV_RELU, 0, {}},
    {"relu6", SEPCONV_RELU6, 0, {}},
    {"hard_tanh", SEPCONV_HARD_TANH, 0, {}},
    {"relu", SEPCONV_RELU_GENERAL, 3, {0, std::numeric_limits<double>::infinity(), 0}},
    {"leaky_relu", SEPCONV_LEAKY_RELU, 1, {0.2}},
    {"elu", SEPCONV_ELU, 1, {1}},
    {"celu", SEPCONV_CELU, 1, {1}},
    {"selu", SEPCONV_SELU, 0, {}},
    {"softplus", SEPCONV_SOFTPLUS, 0, {}},
    {"softsign", SEPCONV_SOFTSIGN, 0, {}},
    {"squareplus", SEPCONV_SQUAREPLUS, 1, {4}},
    {"soft_shrink", SEPCONV_SOFT_SHRINK, 1, {0.5}},
    {"hard_shrink", SEPCONV_HARD_SHRINK, 1, {0.5}},
    {"sparse_plus", SEPCONV_SPARSE_PLUS, 0, {}},
    {"silu", SEPCONV_SILU, 0, {}},
    {"gelu", SEPCONV_GELU, 0, {}},
    {"gelu_tanh", SEPCONV_GELU_TANH, 0, {}},
    {"tanh", SEPCONV_TANH, 0, {}},
    {"tanh_shrink", SEPCONV_TANH_SHRINK, 0, {}},
    {"threshold", SEPCONV_THRESHOLD, 2, {0, 0}},
    {"sigmoid", SEPCONV_SIGMOID, 0, {}},
    {"sparse_sigmoid", SEPCONV_SPARSE_SIGMOID, 0, {}},
    {"exponential", SEPCONV_EXPONENTIAL, 0, {}},
    {"hard_sigmoid", SEPCONV_HARD_SIGMOID, 0, {}},
    {"hard_silu", SEPCONV_HARD_SILU, 0, {}},
    {"mish", SEPCONV_MISH, 0, {}},
    {"log_sigmoid", SEPCONV_LOG_SIGMOID, 0, {}},
};

void activate(py::array array, const std::string& kind, const py::tuple& params) {
  const sepconv_activation activation = activation_of(kind, params);
  const sepconv_dtype dtype = dtype_of(array);
  if (!(array.flags() & py::array::c_style) || !array.writeable())
    throw py::value_error("`array` must be C-contiguous and writeable");
  void* data = array.mutable_data();
  const std::size_t count = static_cast<std::size_t>(array.size());
  py::gil_scoped_release release;
  sepconv::check(sepconv_activate(&activation, dtype, data, count));
}

// 0: nothing is kept for the derivative, 1: the output, 2: the argument.
int activation_keeps(const std::string& kind, const py::tuple& params) {
  const sepconv_activation activation = activation_of(kind, params);
  return sepconv_activation_keeps(&activation);
}

// What a derivative is computed from, and the gradient that it changes.
void require_alike(const py::array& kept, const py::array& gradient, const std::string& name) {
  if (dtype_of(kept) != dtype_of(gradient) || kept.size() != gradient.size())
    throw py::value_error("`" + name + "` and `gradient` must be alike");
  if (!(kept.flags() & gradient.flags() & py::array::c_style) || !gradient.writeable())
    throw py::value_error("`" + name + "` and `gradient` must be C-contiguous, and `gradient` writeable");
}

void derive(const py::array& kept, py::array gradient, const std::string& kind, const py::tuple& params) {
  const sepconv_activation activation = activation_of(kind, params);
  const sepconv_dtype dtype = dtype_of(gradient);
  require_alike(kept, gradient, "kept");
  const void* of = kept.data();
  void* data = gradient.mutable_data();
  const std::size_t count = static_cast<std::size_t>(gradient.size());
  py::gil_scoped_release release;
  sepconv::check(sepconv_derive(&activation, dtype, of, data, count));
}

py::ssize_t rows_of(const py::array& array, py::ssize_t columns) {
  if (columns < 1 || array.size() % columns != 0)
    throw py::value_error("`columns` must divide the size of the array. Received: " + std::to_string(columns));
  return array.size() / columns;
}

void activate_rows(py::array array, const std::string& kind, py::ssize_t columns, int num_threads) {
  const sepconv_row_activation row = row_kind_of(kind);
  const sepconv_dtype dtype = dtype_of(array);
  const py::ssize_t rows = rows_of(array, columns);
  if (!(array.flags() & py::array::c_style) || !array.writeable())
    throw py::value_error("`array` must be C-contiguous and writeable");
  void* data = array.mutable_data();
  py::gil_scoped_release release;
  sepconv::check(sepconv_activate_rows(row, dtype, data, rows, columns, num_threads));
}

void derive_rows(const py::array& output, py::array gradient, const std::string& kind, py::ssize_t columns, int num_threads) {
  const sepconv_row_activation row = row_kind_of(kind);
  const sepconv_dtype dtype = dtype_of(gradient);
  const py::ssize_t rows = rows_of(gradient, columns);
  require_alike(output, gradient, "output");
  const void* of = output.data();
  void* data = gradient.mutable_data();
  py::gil_scoped_release release;
  sepconv::check(sepconv_derive_rows(row, dtype, of, data, rows, columns, num_threads));
}

py::array transpose(const py::array& array) {
  const sepconv_dtype dtype = dtype_of(array);
  if (array.ndim() != 2) throw py::value_error("`array` must have 2 axes. Received: " + std::to_string(array.ndim()));
  require_contiguous(array, "array");
  const py::ssize_t rows = array.shape(0), columns = array.shape(1);
  py::array out = new_array({columns, rows}, array.dtype());
  const void* from = array.data();
  void* to = out.mutable_data();
  py::gil_scoped_release release;
  sepconv::check(sepconv_transpose(dtype, from, rows, columns, to));
  return out;
}

py::array empty(const py::tuple& shape, const py::dtype& dtype) {
  std::vector<py::ssize_t> sizes;
  std::size_t bytes = static_cast<std::size_t>(dtype.itemsize());
  for (const auto& size : shape) {
    sizes.push_back(size.cast<py::ssize_t>());
    if (sizes.back() < 0 || __builtin_mul_overflow(bytes, static_cast<std::size_t>(sizes.back()), &bytes))
      throw py::value_error("`shape` is too large for 64-bit size arithmetic");
  }
  return new_array(sizes, dtype);
}

// Whether the memory at each address equals that at another, which comes with its size in bytes.
bool same_bytes(const std::vector<std::uintptr_t>& addresses, const std::vector<std::pair<std::uintptr_t, std::size_t>>& others) {
  if (addresses.size() != others.size()) return false;
  const py::gil_scoped_release release;
  for (std::size_t i = 0; i < others.size(); ++i)
    if (std::memcmp(reinterpret_cast<const void*>(addresses[i]), reinterpret_cast<const void*>(others[i].first), others[i].second) != 0)
      return false;
  return true;
}

}  // namespace

sepconv_row_activation row_kind_of(const std::string& name) {
  if (name == "softmax") return SEPCONV_SOFTMAX;
  if (name == "log_softmax") return SEPCONV_LOG_SOFTMAX;
  throw py::value_error("`kind` must be one of softmax, log_softmax. Received: " + name);
}

sepconv_dtype dtype_of(const std::string& name) {
  if (name == "float32") return SEPCONV_FLOAT32;
  if (name == "float64") return SEPCONV_FLOAT64;
  if (name == "float16") return SEPCONV_FLOAT16;
  if (name == "bfloat16") return SEPCONV_BFLOAT16;
  throw py::value_error("`dtype` must be one of float32, float64, float16, bfloat16. Received: " + name);
}

sepconv_dtype dtype_of(const py::array& array) {
  const py::dtype dtype = array.dtype();
  const char order = dtype.byteorder();
  if (order == '=' || order == '|') {
    if (dtype.kind() == 'f' && dtype.itemsize() == 4) return SEPCONV_FLOAT32;
    if (dtype.kind() == 'f' && dtype.itemsize() == 8) return SEPCONV_FLOAT64;
    if (dtype.kind() == 'f' && dtype.itemsize() == 2) return SEPCONV_FLOAT16;
    if (dtype.itemsize() == 2 && py::str(dtype.attr("name")).cast<std::string>() == "bfloat16") return SEPCONV_BFLOAT16;
  }
  throw py::type_error("the array must have native float32, float64, float16 or bfloat16 elements. Received: " +
                       py::str(dtype).cast<std::string>());
}

void require_shape(const py::array& array, const std::vector<py::ssize_t>& shape, const char* name) {
  if (std::vector<py::ssize_t>(array.shape(), array.shape() + array.ndim()) != shape)
    throw py::value_error(std::string("`") + name + "` has the wrong shape here. Received: shape=" +
                          py::str(array.attr("shape")).cast<std::string>());
}

void require_contiguous(const py::array& array, const char* name) {
  if (!(array.flags() & py::array::c_style)) throw py::value_error(std::string("`") + name + "` must be C-contiguous");
}

void strides_of(const py::array& array, const char* name, std::int64_t* strides) {
  for (py::ssize_t axis = 0; axis < array.ndim(); ++axis) {
    if (array.strides(axis) % array.itemsize() != 0 || !(array.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_))
      throw py::value_error(std::string("`") + name + "` must be aligned to its elements, strides too");
    strides[axis] = array.strides(axis) / array.itemsize();
  }
}

std::size_t item_size(sepconv_dtype dtype) { return dtype == SEPCONV_FLOAT64 ? 8 : dtype == SEPCONV_FLOAT32 ? 4 : 2; }

sepconv_activation activation_of(const std::string& kind, const py::tuple& params) {
  const int given = static_cast<int>(params.size());
  for (const activation_row& row : activation_rows) {
    if (kind != row.name || (given > 0 && row.params == 0) || given > row.params) continue;
    sepconv_activation activation = {};
    activation.kind = row.kind;
    std::memcpy(activation.params, row.defaults, sizeof(activation.params));
    for (int i = 0; i < given; ++i) activation.params[i] = params[static_cast<std::size_t>(i)].cast<double>();
    return activation;
  }
  throw py::value_error("`activation` is not one of the core's, or has too many parameters. Received: " + kind + ", " +
                        std::to_string(given) + " parameters");
}

py::array new_array(const std::vector<py::ssize_t>& shape, const py::dtype& dtype) {
  std::size_t bytes = static_cast<std::size_t>(dtype.itemsize());
  for (const py::ssize_t size : shape) bytes *= static_cast<std::size_t>(size);
  // From 32 KB on, what alignment gains is more than memory of our own costs. NumPy's is aligned to 16 bytes.
  if (bytes < 32768) {  // py::array would work out the strides first
    const auto& numpy = py::detail::npy_api::get();
    py::object array = py::reinterpret_steal<py::object>(
        numpy.PyArray_NewFromDescr_(numpy.PyArray_Type_, py::dtype(dtype).release().ptr(), static_cast<int>(shape.size()),
                                    const_cast<py::ssize_t*>(shape.data()), nullptr, nullptr, 0, nullptr));
    if (!array) throw py::error_already_set();
    return py::reinterpret_steal<py::array>(array.release());
  }
  sepconv::buffer buffer(bytes);
  void* data = buffer.get();
  py::capsule base(data, sepconv_free);
  buffer.release();
  return py::array(dtype, shape, data, base);
}

void register_arrays(py::module_& m) {
  m.def("activate", &activate, py::arg("array"), py::arg("kind"), py::arg("params") = py::tuple());
  m.def("activation_keeps", &activation_keeps, py::arg("kind"), py::arg("params") = py::tuple());
  m.def("derive", &derive, py::arg("kept"), py::arg("gradient"), py::arg("kind"), py::arg("params") = py::tuple());
  m.def("activate_rows", &activate_rows, py::arg("array"), py::arg("kind"), py::arg("columns"), py::arg("num_threads"));
  m.def("derive_rows", &derive_rows, py::arg("output"), py::arg("gradient"), py::arg("kind"), py::arg("columns"), py::arg("num_threads"));
  m.def("transpose", &transpose, py::arg("array"));
  m.def("same_bytes", &same_bytes, py::arg("addresses"), py::arg("others"));
  m.def("empty", &empty, py::arg("shape"), py::arg("dtype"));
}

}  // namespace sepconv_python
