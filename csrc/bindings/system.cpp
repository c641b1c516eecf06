#include <sstream>

#include "module.hpp"
#include "sepconv/sepconv.hpp"

namespace py = pybind11;

namespace sepconv_python {
namespace {

py::list split(const char* names) {
  py::list out;
  std::istringstream stream(names);
  for (std::string name; std::getline(stream, name, ',');) out.append(name);
  return out;
}

py::dict config() {
  const sepconv_system_info info = sepconv::system_info();
  py::dict d;
  d["version"] = info.version;
  d["compiler"] = info.compiler;
  d["isa_compiled"] = split(info.isa_compiled);
  d["isa_found"] = split(info.isa_found);
  d["isa_active"] = info.isa_active;
  d["threading"] = info.threading;
  d["threads"] = info.num_threads;
  d["l1d_bytes"] = info.l1d_size;
  d["l2_bytes"] = info.l2_size;
  return d;
}

double fma_peak(int num_threads) {
  double flops = 0;
  py::gil_scoped_release release;
  sepconv::check(sepconv_measure_fma_peak(num_threads, &flops));
  return flops / 1e9;
}

}  // namespace

void register_system(py::module_& m) {
  m.def("config", &config);
  m.def("default_threads", &sepconv_default_threads);
  m.def("isas", [] { return split(sepconv::system_info().isa_found); });
  m.def("fma_peak", &fma_peak, py::arg("num_threads"), "GFLOP/s of multiply-adds in registers.");
}

}  // namespace sepconv_python
