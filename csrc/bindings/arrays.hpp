// Element types and arrays, between NumPy's names and the C interface's.
#pragma once

#include <pybind11/numpy.h>

#include <string>
#include <vector>

#include "sepconv/sepconv.hpp"

namespace sepconv_python {

// "float32", "float64", "float16", "bfloat16".
sepconv_dtype dtype_of(const std::string& name);

// Of an array; ml_dtypes' bfloat16 is known by its name.
sepconv_dtype dtype_of(const pybind11::array& array);

// Errors that name the array.
void require_shape(const pybind11::array& array, const std::vector<pybind11::ssize_t>& shape, const char* name);
void require_contiguous(const pybind11::array& array, const char* name);

// Strides in elements, one for each axis.
void strides_of(const pybind11::array& array, const char* name, std::int64_t* strides);

std::size_t item_size(sepconv_dtype dtype);

// An uninitialised C-contiguous array; large ones lie in pooled memory, which their base gives back.
pybind11::array new_array(const std::vector<pybind11::ssize_t>& shape, const pybind11::dtype& dtype);

// "softmax", "log_softmax".
sepconv_row_activation row_kind_of(const std::string& name);

// The name of an activation and its parameters; missing parameters are Keras's defaults.
sepconv_activation activation_of(const std::string& kind, const pybind11::tuple& params);

}  // namespace sepconv_python
