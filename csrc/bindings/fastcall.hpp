// Methods as functions of CPython's own, which take a fifth of the time of pybind11's: as much as a tiny layer's arithmetic.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>

namespace sepconv_python {

template <auto method>
struct class_of;
template <class C, pybind11::object (C::*method)(PyObject* const*)>
struct class_of<method> {
  using type = C;
};
template <class C, pybind11::object (C::*method)(PyObject* const*) const>
struct class_of<method> {
  using type = C;
};

// Calls `(object.*method)(arguments)`, if there are `count` of them.
template <auto method, int count>
PyObject* fastcall(PyObject* self, PyObject* const* arguments, Py_ssize_t given) {
  using shared = std::shared_ptr<typename class_of<method>::type>;
  if (given != count) return PyErr_Format(PyExc_TypeError, "expected %d arguments. Received: %zd", count, given);
  try {
    return ((**static_cast<shared*>(PyCapsule_GetPointer(self, nullptr))).*method)(arguments).release().ptr();
  } catch (...) {
    pybind11::detail::try_translate_exceptions();
    return nullptr;
  }
}

// That function, which holds the `object`.
template <auto method, int count>
pybind11::object function_of(const std::shared_ptr<typename class_of<method>::type>& object) {
  using shared = std::shared_ptr<typename class_of<method>::type>;
  static PyMethodDef definition = {"call", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&fastcall<method, count>)),
                                   METH_FASTCALL, nullptr};
  const pybind11::capsule self(new shared(object), [](void* p) { delete static_cast<shared*>(p); });
  PyObject* function = PyCFunction_New(&definition, self.ptr());
  if (!function) throw pybind11::error_already_set();
  return pybind11::reinterpret_steal<pybind11::object>(function);
}

}  // namespace sepconv_python
