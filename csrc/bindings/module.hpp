// Plans, packs and the scratch of running calls, for Python.
#pragma once

#include <pybind11/pybind11.h>

namespace sepconv_python {

void register_plan(pybind11::module_& m);
void register_recall(pybind11::module_& m);
void register_tensors(pybind11::module_& m);
void register_vjp(pybind11::module_& m);
void register_system(pybind11::module_& m);
void register_arrays(pybind11::module_& m);

}  // namespace sepconv_python
