#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "fastcall.hpp"
#include "module.hpp"
#include "plan.hpp"

namespace py = pybind11;

namespace sepconv_python {
namespace {

// A tensor as DLPack lays it out (https://dmlc.github.io/dlpack/latest/c_api.html). Strides count elements.
struct dl_tensor {
  void* data;
  std::int32_t device, device_id, axes;
  std::uint8_t code, bits;
  std::uint16_t lanes;
  std::int64_t *shape, *strides;
  std::uint64_t byte_offset;
};
struct dl_managed_tensor {
  dl_tensor tensor;
  void* context;
  void (*deleter)(dl_managed_tensor*);
};
constexpr const char* capsule_name = "dltensor";
constexpr int cpu = 1;

const dl_tensor* tensor_of(PyObject* capsule) {
  if (capsule == Py_None) return nullptr;
  void* tensor = PyCapsule_GetPointer(capsule, capsule_name);
  if (!tensor) throw py::error_already_set();
  return &static_cast<dl_managed_tensor*>(tensor)->tensor;
}

void* data_of(const dl_tensor* t) { return t ? static_cast<char*>(t->data) + t->byte_offset : nullptr; }

// What of a tensor must be equal.
class form {
 public:
  form() = default;
  explicit form(const dl_tensor* t) {
    if (!t) return;
    if (!t->strides) throw py::value_error("a tensor must come with strides");
    code_ = t->code, bits_ = t->bits;
    sizes_.assign(t->shape, t->shape + t->axes);
    sizes_.insert(sizes_.end(), t->strides, t->strides + t->axes);
  }
  // The same in one piece, its axes in this order; in their own if it is empty.
  form dense(std::vector<std::size_t> order) const {
    form f = *this;
    const std::size_t axes = sizes_.size() / 2;
    if (order.empty())
      for (std::size_t i = 0; i < axes; ++i) order.push_back(i);
    std::int64_t step = 1;
    for (auto axis = order.rbegin(); axis != order.rend(); ++axis) {
      f.sizes_[axes + *axis] = step;
      step *= f.sizes_[*axis];
    }
    return f;
  }
  bool known() const { return bits_; }
  bool like(const dl_tensor* t) const {
    if (!t || !known()) return !t && !known();
    const std::size_t axes = sizes_.size() / 2;
    if (t->device != cpu || t->code != code_ || t->bits != bits_ || t->lanes != 1 || t->axes != static_cast<std::int64_t>(axes) ||
        !t->strides || !t->data || reinterpret_cast<std::uintptr_t>(data_of(t)) % (bits_ / 8) != 0)
      return false;
    for (std::size_t i = 0; i < axes; ++i)
      if (t->shape[i] != sizes_[i] || (sizes_[i] != 1 && t->strides[i] != sizes_[axes + i])) return false;
    return true;
  }
  std::int64_t size(std::size_t axis) const { return sizes_[axis]; }
  std::int64_t count() const {  // that of an array that exists
    std::int64_t n = 1;
    for (std::size_t i = 0; i < sizes_.size() / 2; ++i) n *= sizes_[i];
    return n;
  }
  std::size_t bytes() const { return static_cast<std::size_t>(count()) * (bits_ / 8); }

  // A tensor of this form, as a capsule that whoever takes it empties.
  py::object tensor(sepconv::buffer data) const {
    struct managed : dl_managed_tensor {
      std::vector<std::int64_t> sizes;
    };
    auto m = std::make_unique<managed>();
    m->sizes = sizes_;
    const std::size_t axes = sizes_.size() / 2;
    m->tensor = {data.get(), cpu, 0, static_cast<std::int32_t>(axes), code_, bits_, 1, m->sizes.data(), m->sizes.data() + axes, 0};
    m->deleter = [](dl_managed_tensor* t) {  // with or without the GIL
      sepconv_free(t->tensor.data);
      delete static_cast<managed*>(t);
    };
    PyObject* capsule = PyCapsule_New(static_cast<dl_managed_tensor*>(m.get()), capsule_name, [](PyObject* c) {
      if (!PyCapsule_IsValid(c, capsule_name)) return;
      auto* t = static_cast<dl_managed_tensor*>(PyCapsule_GetPointer(c, capsule_name));
      t->deleter(t);
    });
    if (!capsule) throw py::error_already_set();
    data.release();
    m.release();
    return py::reinterpret_steal<py::object>(capsule);
  }

 private:
  std::uint8_t code_ = 0, bits_ = 0;
  std::vector<std::int64_t> sizes_;  // shape, then strides
};

// One call, to be done again with other numbers.
struct tensor_call {
  std::array<form, 5> forms, gradients;  // of the input and the weights
  form output;
  std::array<py::object, 2> owners;
  const Plan* plan;
  const sepconv::pack* pack;  // of weights that stay, else NULL
  sepconv_weights layout;
  quad gradient_strides;
  bool transposed;
  std::vector<std::pair<int, std::unique_ptr<const Vjp>>> vjps;  // by what is wanted

  sepconv_weights weights(const std::array<const dl_tensor*, 5>& tensors) const {
    sepconv_weights w = layout;
    w.depthwise_kernel = data_of(tensors[1]);
    w.depthwise_bias = data_of(tensors[2]);
    w.pointwise_kernel = data_of(tensors[3]);
    w.bias = data_of(tensors[4]);
    return w;
  }

  const Vjp& vjp(int wanted) {
    if (transposed && plan->multiplier() == 1 && (wanted & SEPCONV_GRADIENT_POINTWISE_KERNEL)) wanted |= SEPCONV_GRADIENT_TRANSPOSED;
    for (const auto& known : vjps)
      if (known.first == wanted) return *known.second;
    vjps.emplace_back(wanted, std::make_unique<const Vjp>(plan->vjp(wanted, gradient_strides)));
    return *vjps.back().second;
  }

  // A kernel's gradient, in the order that its tensor has.
  sepconv::buffer arranged(std::size_t i, sepconv::buffer gradient) const {
    const bool is_kernel = i == 1 || i == 3, done = i == 3 && plan->multiplier() == 1;
    if (!transposed || !is_kernel || done) return gradient;
    sepconv::buffer turned(gradient.size());
    const std::int64_t columns = forms[i].size(0), rows = forms[i].count() / columns;
    sepconv::check(sepconv_transpose(layout.dtype, gradient.get(), rows, columns, turned.get()));
    return turned;
  }
};

// The last calls of a convolution with the tensors of a framework, which come and go as DLPack capsules: a call like one of them needs no
// arrays of NumPy. The input and four weights are five capsules; None is a weight that isn't there.
class TensorCalls {
 public:
  // Of five arguments the output, or None.
  py::object forward(PyObject* const* arguments) const {
    const tensors in = tensors_of(arguments);
    const std::shared_ptr<tensor_call> call = find(in);
    if (!call) return py::none();
    sepconv::buffer output(call->output.bytes());
    if (call->pack)
      call->plan->run(*call->pack, data_of(in[0]), output.get());
    else
      call->plan->run(call->plan->pack(call->weights(in)), data_of(in[0]), output.get());
    return call->output.tensor(std::move(output));
  }

  // Of eight arguments (what is wanted, a sum of sepconv_gradient; the output's gradient; what is kept for it, or None; the five) the five
  // gradients, None for those not wanted; or None.
  py::object backward(PyObject* const* arguments) const {
    const tensors in = tensors_of(arguments + 3);
    const std::shared_ptr<tensor_call> call = find(in);
    const dl_tensor *up = tensor_of(arguments[1]), *kept = tensor_of(arguments[2]);
    if (!call || call->pack || !call->output.like(up) || (kept && !call->output.like(kept))) return py::none();
    const long wanted = PyLong_AsLong(arguments[0]);
    int mask = 0;
    std::array<std::optional<sepconv::buffer>, 5> found;
    for (std::size_t i = 0; i < 5; ++i)
      if ((wanted >> i & 1) && in[i]) {
        found[i].emplace(call->gradients[i].bytes());
        mask |= 1 << i;
      }
    const auto target = [&](std::size_t i) { return found[i] ? found[i]->get() : nullptr; };
    sepconv_gradients g = sepconv::make_gradients();
    g.input = target(0);
    g.depthwise_kernel = target(1);
    g.depthwise_bias = target(2);
    g.pointwise_kernel = target(3);
    g.bias = target(4);
    if (mask) call->vjp(mask).run(call->weights(in), data_of(in[0]), data_of(kept), data_of(up), g);
    py::tuple result(5);
    for (std::size_t i = 0; i < 5; ++i)
      result[i] = found[i] ? call->gradients[i].tensor(call->arranged(i, std::move(*found[i]))) : py::none();
    return result;
  }

  // Lets calls like this one be known. Thirteen arguments: the five, the output, the strides of the two kernels in the order that Plan.pack
  // takes, the plan, a pack of weights that aren't among the five, the axes of the input in the order of the plan, the strides of the input's
  // gradient, which lies in that order, as Plan.vjp takes them, and whether kernels begin with what comes out of them.
  py::object keep(PyObject* const* arguments) {
    const auto at = [&](std::size_t i) { return py::reinterpret_borrow<py::object>(arguments[i]); };
    const tensors in = tensors_of(arguments);
    std::vector<std::size_t> order;
    for (const py::handle axis : at(10)) order.push_back(axis.cast<std::size_t>());
    const auto call = std::make_shared<tensor_call>();
    for (std::size_t i = 0; i < 5; ++i) {
      call->forms[i] = form(in[i]);
      call->gradients[i] = call->forms[i].dense(i ? std::vector<std::size_t>() : order);
    }
    call->output = form(tensor_of(arguments[5])).dense(order);
    call->owners = {at(8), at(9)};
    call->plan = at(8).cast<const Plan*>();
    call->pack = arguments[9] == Py_None ? nullptr : at(9).cast<const sepconv::pack*>();
    call->layout = call->plan->layout(at(6).cast<quad>(), at(7).cast<std::array<std::int64_t, 2>>());
    call->gradient_strides = at(11).cast<quad>();
    call->transposed = arguments[12] == Py_True;
    if (calls_.size() >= most) calls_.erase(calls_.begin());
    calls_.push_back(call);
    return py::none();
  }

 private:
  static constexpr std::size_t most = 16;
  using tensors = std::array<const dl_tensor*, 5>;

  static tensors tensors_of(PyObject* const* capsules) {
    tensors t;
    for (std::size_t i = 0; i < 5; ++i) t[i] = tensor_of(capsules[i]);
    return t;
  }

  std::shared_ptr<tensor_call> find(const tensors& in) const {
    for (auto call = calls_.rbegin(); call != calls_.rend(); ++call)
      if (std::equal(in.begin(), in.end(), (*call)->forms.begin(), [](const dl_tensor* t, const form& f) { return f.like(t); }))
        return *call;
    return nullptr;
  }

  std::vector<std::shared_ptr<tensor_call>> calls_;
};

}  // namespace

void register_tensors(py::module_& m) {
  m.def(
      "tensor_calls",
      [] {
        const auto calls = std::make_shared<TensorCalls>();
        return py::make_tuple(function_of<&TensorCalls::forward, 5>(calls), function_of<&TensorCalls::backward, 8>(calls),
                              function_of<&TensorCalls::keep, 13>(calls));
      },
      "The functions of a memory of calls with tensors.");
}

}  // namespace sepconv_python
