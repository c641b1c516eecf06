#include <pybind11/numpy.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "fastcall.hpp"
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

  // Of four arguments (input, out, num_threads, state) the result of a call like one that was kept, or None. `num_threads` is an int or
  // None.
  py::object call(PyObject* const* arguments) const {
    PyObject *const input = arguments[0], *const out = arguments[1], *const num_threads = arguments[2], *const state = arguments[3];
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

  // Lets calls like this one be known. Eight arguments: those of the call, its plan, pack and output, and the name of what follows, or "".
  py::object keep(PyObject* const* arguments) {
    const auto at = [&](std::size_t i) { return py::reinterpret_borrow<py::object>(arguments[i]); };
    const view in(arguments[0]), to(arguments[1]);
    const py::object options = this->options(), state = at(3);
    const py::handle precision = precision_of(options);
    const std::int64_t num_threads = threads_of(arguments[2], options);
    std::vector<std::shared_ptr<const entry>> entries;  // without what this one replaces, and without packs of old weights
    for (const std::shared_ptr<const entry>& e : entries_)
      if (e->state.is(state) && !(e->num_threads == num_threads && e->precision.is(precision) && e->in.like(in) &&
                                  (e->out.known() ? e->out.like(to) : arguments[1] == Py_None)))
        entries.push_back(e);
    if (entries.size() >= most) entries.erase(entries.begin());
    const auto output = py::reinterpret_borrow<py::array>(arguments[6]);
    entries.push_back(std::make_shared<const entry>(at(0), at(1), num_threads, precision, state, at(4), at(5), output,
                                                    at(7).cast<std::string>()));
    entries_.swap(entries);
    return py::none();
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
    entry(const py::object& input, const py::object& out_, std::int64_t num_threads_, const py::handle& precision_, const py::object& state_,
          const py::object& plan_, const py::object& pack_, const py::array& output, const std::string& activation)
        : in(input), out(out_), num_threads(num_threads_), precision(py::reinterpret_borrow<py::object>(precision_)), state(state_),
          owners{plan_, pack_}, plan(plan_.cast<const Plan*>()), pack(pack_.cast<const sepconv::pack*>()),
          shape(output.shape(), output.shape() + output.ndim()), dtype(output.dtype()) {
      if (!activation.empty()) rows.emplace(activation, output);
    }
    form in, out;
    std::int64_t num_threads;
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

}  // namespace

void register_recall(py::module_& m) {
  m.def(
      "recall",
      [](const py::object& context) {
        const auto recall = std::make_shared<Recall>(context);
        return py::make_tuple(function_of<&Recall::call, 4>(recall), function_of<&Recall::keep, 8>(recall));
      },
      py::arg("context"), "The functions of a memory of a convolution's last calls: to repeat one like them, and to keep one.");
}

}  // namespace sepconv_python
