#include "module.hpp"

#include <new>

#include "sepconv/sepconv.hpp"

// Only arguments and results are converted here; the public interface does the rest.
PYBIND11_MODULE(_core, m) {
  namespace py = pybind11;
  m.doc() = "The native core of sepconv. Private: use the package's own functions.";
  py::register_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const sepconv::invalid_argument& e) {
      PyErr_SetString(PyExc_ValueError, e.what());
    } catch (const std::bad_alloc&) {
      PyErr_SetString(PyExc_MemoryError, "sepconv: out of memory");
    }
  });
  m.attr("__version__") = sepconv_version();
  sepconv_python::register_arrays(m);
  sepconv_python::register_vjp(m);
  sepconv_python::register_plan(m);
  sepconv_python::register_recall(m);
  sepconv_python::register_tensors(m);
  sepconv_python::register_system(m);
}
