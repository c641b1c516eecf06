#include <pybind11/numpy.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "module.hpp"
#include "plan.hpp"

namespace py = pybind11;

namespace sepconv_python {
namespace {

// The last calls of a convolution. A call like one of them needs no more than a few comparisons before it runs.
class Recall {
 public:
  // `context` is the context variable of what calls are made with: (threads or None, precision).
  explicit Recall(const py::object& context) : context_(context) {}

  // The result of a call like one that was kept, or None. `num_threads` is an int or None.
  py::object call(PyObject* input, PyObject* out, PyObject* num_threads, PyObject* state) const {
    const py::object options = this->options();
    const std::int64_t threads = threads_of(num_threads, options);
    const view in(input), to(out);
    for (const std::shared_ptr<const entry>& kept : entries_) {
      const entry& e = *kept;
      if (e.num_threads != threads || e.state.ptr() != state || e.out.known() == (out == Py_None) || !e.in.like(in)) continue;
      if (!e.precision.is(precision_of(options)) || (e.out.known() && !(e.out.like(to) && to.writeable() && apart(in, to)))) continue;
      const std::shared_ptr<const entry> hold = kept;  // another thread may replace it meanwhile
      py::object output = e.out.known() ? py::reinterpret_borrow<py::object>(out) : new_array(e.shape, e.dtype);
      char* const data = view(output.ptr()).array->data;
      e.plan->run(*e.pack, in.array->data, data);
      if (e.rows) e.rows->run(data, static_cast<int>(threads));
      return output;
    }
    return py::none();
  }

  void keep(const py::array& input, const py::object& out, int num_threads, const py::object& state, const py::object& plan,
            const py::object& pack, const py::array& output, const std::string& row_activation) {
    const view in(input.ptr()), to(out.ptr());
    const py::object options = this->options();
    const py::handle precision = precision_of(options);
    std::vector<std::shared_ptr<const entry>> entries;  // without what this one replaces, and without packs of old weights
    for (const std::shared_ptr<const entry>& e : entries_)
      if (e->state.is(state) && !(e->num_threads == num_threads && e->precision.is(precision) && e->in.like(in) &&
                                  (e->out.known() ? e->out.like(to) : out.is_none())))
        entries.push_back(e);
    if (entries.size() >= most) entries.erase(entries.begin());
    entries.push_back(std::make_shared<const entry>(input, out, num_threads, precision, state, plan, pack, output, row_activation));
    entries_.swap(entries);
  }

 private:
  static constexpr std::size_t most = 4;

  py::object options() const {
    PyObject* value = nullptr;
    if (PyContextVar_Get(context_.ptr(), nullptr, &value) != 0) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(value);
  }
  static py::handle precision_of(const py::object& options) { return PyTuple_GET_ITEM(options.ptr(), 1); }

  // 0 for what isn't a number of threads: no call was kept with that.
  static std::int64_t threads_of(PyObject* num_threads, const py::object& options) {
    if (num_threads == Py_None) num_threads = PyTuple_GET_ITEM(options.ptr(), 0);
    if (num_threads == Py_None) return sepconv_default_threads();
    int overflow = 0;
    return PyLong_CheckExact(num_threads) ? PyLong_AsLongLongAndOverflow(num_threads, &overflow) : 0;
  }

  // An ndarray as NumPy holds it; nothing of another type.
  struct view {
    explicit view(PyObject* object)
        : array(Py_TYPE(object) == py::detail::npy_api::get().PyArray_Type_ ? py::detail::array_proxy(object) : nullptr) {}
    bool known() const { return array; }
    bool writeable() const { return array->flags & py::detail::npy_api::NPY_ARRAY_WRITEABLE_; }
    bool aligned() const { return array->flags & py::detail::npy_api::NPY_ARRAY_ALIGNED_; }

    // The bytes that it spans, and perhaps a few more.
    std::pair<const char*, const char*> span() const {
      const char* first = array->data;
      const char* last = first + sizeof(double);
      for (int i = 0; i < array->nd; ++i) {
        const std::ptrdiff_t reach = (array->dimensions[i] - 1) * array->strides[i];
        (reach < 0 ? first : last) += reach;
      }
      return {first, last};
    }

    const py::detail::PyArray_Proxy* array;
  };

  // What of an array must be equal.
  class form {
   public:
    explicit form(const py::object& object) {
      const view v(object.ptr());
      if (!v.known()) return;
      dtype_ = py::reinterpret_borrow<py::dtype>(v.array->descr);
      sizes_.assign(v.array->dimensions, v.array->dimensions + v.array->nd);
      sizes_.insert(sizes_.end(), v.array->strides, v.array->strides + v.array->nd);
    }
    bool known() const { return !sizes_.empty(); }
    bool like(const view& v) const {
      if (!v.known() || !v.aligned() || v.array->descr != dtype_.ptr()) return false;
      const auto middle = sizes_.begin() + static_cast<std::ptrdiff_t>(sizes_.size() / 2);
      return v.array->nd == middle - sizes_.begin() && std::equal(sizes_.begin(), middle, v.array->dimensions) &&
             std::equal(middle, sizes_.end(), v.array->strides);
    }

   private:
    py::dtype dtype_;
    std::vector<py::ssize_t> sizes_;  // shape, then strides
  };

  // What follows the core's run, over the output's last axis.
  struct row_activation {
    row_activation(const std::string& name, const py::array& output)
        : kind(row_kind_of(name)), dtype(dtype_of(output)), columns(output.shape(output.ndim() - 1)), rows(output.size() / columns) {}
    void run(void* data, int num_threads) const {
      py::gil_scoped_release release;
      sepconv::check(sepconv_activate_rows(kind, dtype, data, rows, columns, num_threads));
    }
    sepconv_row_activation kind;
    sepconv_dtype dtype;
    py::ssize_t columns, rows;
  };

  struct entry {
    entry(const py::array& input, const py::object& out_, int num_threads_, const py::handle& precision_, const py::object& state_,
          const py::object& plan_, const py::object& pack_, const py::array& output, const std::string& activation)
        : in(input), out(out_), num_threads(num_threads_), precision(py::reinterpret_borrow<py::object>(precision_)), state(state_),
          owners{plan_, pack_}, plan(plan_.cast<const Plan*>()), pack(pack_.cast<const sepconv::pack*>()),
          shape(output.shape(), output.shape() + output.ndim()), dtype(output.dtype()) {
      if (!activation.empty()) rows.emplace(activation, output);
    }
    form in, out;
    int num_threads;
    py::object precision, state, owners[2];
    const Plan* plan;
    const sepconv::pack* pack;
    std::vector<py::ssize_t> shape;
    py::dtype dtype;
    std::optional<row_activation> rows;
  };

  static bool apart(const view& a, const view& b) {
    const auto x = a.span(), y = b.span();
    return x.second <= y.first || y.second <= x.first;
  }

  py::object context_;
  std::vector<std::shared_ptr<const entry>> entries_;
};

using shared_recall = std::shared_ptr<Recall>;

PyObject* call(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  if (count != 4) return PyErr_Format(PyExc_TypeError, "recall takes 4 arguments. Received: %zd", count);
  try {
    const Recall& recall = **static_cast<shared_recall*>(PyCapsule_GetPointer(self, nullptr));
    return recall.call(args[0], args[1], args[2], args[3]).release().ptr();
  } catch (...) {
    py::detail::try_translate_exceptions();
    return nullptr;
  }
}

// `call` as a function of CPython's own, which takes a fifth of the time of pybind11's: as much as a tiny layer's arithmetic.
py::object function_of(const shared_recall& recall) {
  static PyMethodDef definition = {"recall", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&call)), METH_FASTCALL,
                                   "recall(input, out, num_threads, state, /)"};
  const py::capsule self(new shared_recall(recall), [](void* p) { delete static_cast<shared_recall*>(p); });
  PyObject* function = PyCFunction_New(&definition, self.ptr());
  if (!function) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(function);
}

}  // namespace

void register_recall(py::module_& m) {
  py::class_<Recall, std::shared_ptr<Recall>>(m, "Recall", "The last calls of a convolution, to be repeated without looking anything up.")
      .def(py::init<const py::object&>(), py::arg("context"))
      .def_property_readonly("call", &function_of)
      .def("keep", &Recall::keep, py::arg("input"), py::arg("out"), py::arg("num_threads"), py::arg("state"), py::arg("plan"),
           py::arg("pack"), py::arg("output"), py::arg("row_activation"));
}

}  // namespace sepconv_python
