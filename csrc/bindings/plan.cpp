#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "module.hpp"
#include "vjp.hpp"
#include "workspace.hpp"

namespace py = pybind11;

namespace sepconv_python {
namespace {

using pair = std::array<std::int64_t, 2>;

// Weight arrays of one type.
struct weight_arrays {
  sepconv_weights weights = sepconv::make_weights();
  bool typed = false;

  // NULL for none. Where there are no `strides` to be told, the array must be contiguous.
  const void* add(const std::optional<py::array>& array, const std::vector<py::ssize_t>& shape, const char* name,
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

class Plan {
 public:
  explicit Plan(const sepconv_spec& spec) : spec_(spec), plan_(spec), info_(plan_.info()) {
    spec_.isa = nullptr;  // the string was the caller's
    short_ = info_.flops < 4e5;
  }

  py::tuple output_shape() const {
    const std::int64_t* s = info_.output_shape;
    return py::make_tuple(s[0], s[1], s[2], s[3]);
  }
  std::int64_t pack_key() const { return plan_.pack_key(); }
  double flops() const { return info_.flops; }

  sepconv::pack pack(const std::optional<py::array>& depthwise_kernel, const std::optional<py::array>& depthwise_bias,
                     const std::optional<py::array>& pointwise_kernel, const std::optional<py::array>& bias) const {
    const weight_arrays w = collect(depthwise_kernel, depthwise_bias, pointwise_kernel, bias);
    py::gil_scoped_release release;
    return plan_.make_pack(w.weights);
  }

  weight_arrays collect(const std::optional<py::array>& depthwise_kernel, const std::optional<py::array>& depthwise_bias,
                        const std::optional<py::array>& pointwise_kernel, const std::optional<py::array>& bias) const {
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

  void run(const sepconv::pack& pack, const py::array& input, py::array& output) const {
    if (input.itemsize() != static_cast<py::ssize_t>(item_size(static_cast<sepconv_dtype>(spec_.dtype))) ||
        output.itemsize() != input.itemsize())
      throw py::type_error("`input` and `output` must have the plan's dtype");
    if (input.size() != product(spec_.input_shape) || output.size() != product(info_.output_shape))
      throw py::value_error("`input` and `output` must have the plan's shapes");
    run(pack, input.data(), output.mutable_data());
  }

  void run(const sepconv::pack& pack, const void* input, void* output) const {
    const workspace scratch(plan_.workspace_size());
    if (short_) return plan_.run(pack, input, output, scratch.get());  // below 20 us: not worth letting others in
    py::gil_scoped_release release;
    plan_.run(pack, input, output, scratch.get());
  }

  py::array_t<double> reference(const py::array_t<double, py::array::c_style | py::array::forcecast>& input,
                                const std::optional<py::array>& depthwise_kernel, const std::optional<py::array>& depthwise_bias,
                                const std::optional<py::array>& pointwise_kernel, const std::optional<py::array>& bias) const {
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

  // The gradients of this convolution.
  Vjp vjp(int wanted, const quad& gradient_strides) const {
    sepconv_spec spec = spec_;
    spec.isa = info_.isa;
    return Vjp(spec, info_.output_shape, wanted, gradient_strides);
  }

  py::dict describe() const {
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

 private:
  static py::ssize_t product(const std::int64_t* shape) { return shape[0] * shape[1] * shape[2] * shape[3]; }

  sepconv_spec spec_;
  sepconv::plan plan_;
  sepconv_plan_info info_;
  bool short_;
};

// The last calls of a convolution. A call like one of them needs no more than a few comparisons before it runs.
class Recall {
 public:
  // The result of a call like one that was kept, or None.
  py::object call(const py::handle& input, const py::handle& out, int num_threads, const py::handle& state) const {
    const view in(input), to(out);
    for (const std::shared_ptr<const entry>& kept : entries_) {
      const entry& e = *kept;
      if (e.num_threads != num_threads || !e.state.is(state) || e.out.known() == out.is_none() || !e.in.like(in)) continue;
      if (e.out.known() && !(e.out.like(to) && to.writeable() && apart(in, to))) continue;
      const std::shared_ptr<const entry> hold = kept;  // another thread may replace it meanwhile
      py::object output = e.out.known() ? py::reinterpret_borrow<py::object>(out) : new_array(e.shape, e.dtype);
      e.plan->run(*e.pack, in.array->data, view(output).array->data);
      return output;
    }
    return py::none();
  }

  void keep(const py::array& input, const py::object& out, int num_threads, const py::object& state, const py::object& plan,
            const py::object& pack, const py::array& output) {
    const view in(input), to(out);
    std::vector<std::shared_ptr<const entry>> entries;  // without what this one replaces, and without packs of old weights
    for (const std::shared_ptr<const entry>& e : entries_)
      if (e->state.is(state) && !(e->num_threads == num_threads && e->in.like(in) &&
                                  (e->out.known() ? e->out.like(to) : out.is_none())))
        entries.push_back(e);
    if (entries.size() >= most) entries.erase(entries.begin());
    entries.push_back(std::make_shared<const entry>(input, out, num_threads, state, plan, pack, output));
    entries_.swap(entries);
  }

 private:
  static constexpr std::size_t most = 4;

  // An ndarray as NumPy holds it; nothing of another type.
  struct view {
    explicit view(const py::handle& object)
        : array(Py_TYPE(object.ptr()) == py::detail::npy_api::get().PyArray_Type_ ? py::detail::array_proxy(object.ptr())
                                                                                  : nullptr) {}
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
      const view v(object);
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

  struct entry {
    entry(const py::array& input, const py::object& out_, int num_threads_, const py::object& state_, const py::object& plan_,
          const py::object& pack_, const py::array& output)
        : in(input), out(out_), num_threads(num_threads_), state(state_), owners{plan_, pack_}, plan(plan_.cast<const Plan*>()),
          pack(pack_.cast<const sepconv::pack*>()), shape(output.shape(), output.shape() + output.ndim()),
          dtype(output.dtype()) {}
    form in, out;
    int num_threads;
    py::object state, owners[2];
    const Plan* plan;
    const sepconv::pack* pack;
    std::vector<py::ssize_t> shape;
    py::dtype dtype;
  };

  static bool apart(const view& a, const view& b) {
    const auto x = a.span(), y = b.span();
    return x.second <= y.first || y.second <= x.first;
  }

  std::vector<std::shared_ptr<const entry>> entries_;
};

}  // namespace

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
      .def("pack", &Plan::pack, py::arg("depthwise_kernel"), py::arg("depthwise_bias"), py::arg("pointwise_kernel"),
           py::arg("bias"))
      .def("run", py::overload_cast<const sepconv::pack&, const py::array&, py::array&>(&Plan::run, py::const_),
           py::arg("pack"), py::arg("input"), py::arg("output"))
      .def("reference", &Plan::reference, py::arg("input"), py::arg("depthwise_kernel"), py::arg("depthwise_bias"),
           py::arg("pointwise_kernel"), py::arg("bias"),
           "The result in float64, by nested loops. `input` is (n, h, w, c) float64; so is the result.");
  py::class_<Recall>(m, "Recall", "The last calls of a convolution, to be repeated without looking anything up.")
      .def(py::init<>())
      .def("__call__", &Recall::call, py::arg("input"), py::arg("out"), py::arg("num_threads"), py::arg("state"))
      .def("keep", &Recall::keep, py::arg("input"), py::arg("out"), py::arg("num_threads"), py::arg("state"), py::arg("plan"),
           py::arg("pack"), py::arg("output"));
}

}  // namespace sepconv_python
