// oneDNN called directly, for bench/peers.py: a depthwise convolution, then a 1x1 one, bias and activation as post-operations,
// weights reordered beforehand. The layout of a channels_last case's input and output is oneDNN's choice (tried: any, and nhwc);
// that of a channels_first case is nchw, either read and written as it is or reordered in the timed call.
#include <cstdlib>
#include <memory>
#include <unordered_map>

#include "oneapi/dnnl/dnnl.hpp"
#include "worker.hpp"

namespace {

using namespace bench;
using tag = dnnl::memory::format_tag;
using arguments = std::unordered_map<int, dnnl::memory>;

struct step {
  dnnl::primitive primitive;
  arguments args;
  bool moves;  // only: a reorder
};

struct call {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::vector<step> steps, after;  // `after` only brings the result into the layout of the case
  std::vector<dnnl::memory> memories;
  std::vector<array> arrays;
  std::unique_ptr<array> result;

  dnnl::memory wrap(const dnnl::memory::desc& desc, array a) {
    arrays.push_back(std::move(a));
    return {desc, engine, arrays.back().get()};
  }
  dnnl::memory fresh(const dnnl::memory::desc& desc) { return wrap(desc, array(desc.get_size())); }
  // `m` as `desc`; where it has to move, now or as a step.
  dnnl::memory as(dnnl::memory m, const dnnl::memory::desc& desc, std::vector<step>* steps_to) {
    if (m.get_desc() == desc) return m;
    dnnl::memory target = fresh(desc);
    const dnnl::reorder reorder(m, target);
    if (steps_to) {
      steps_to->push_back({reorder, {{DNNL_ARG_FROM, m}, {DNNL_ARG_TO, target}}, true});
    } else {
      reorder.execute(stream, m, target);
      stream.wait();
    }
    return target;
  }
};

void add_activation(const std::string& name, dnnl::post_ops* ops) {
  using dnnl::algorithm;
  if (name == "linear") return;
  struct row {
    const char* name;
    algorithm kind;
    float alpha, beta;
  };
  static const row rows[] = {
      {"relu", algorithm::eltwise_relu, 0, 0},
      {"relu6", algorithm::eltwise_clip_v2, 0, 6},
      {"hard_tanh", algorithm::eltwise_clip_v2, -1, 1},
      {"leaky_relu", algorithm::eltwise_relu, 0.2f, 0},
      {"elu", algorithm::eltwise_elu, 1, 0},
      {"softplus", algorithm::eltwise_soft_relu, 1, 0},
      {"silu", algorithm::eltwise_swish, 1, 0},
      {"gelu", algorithm::eltwise_gelu_erf, 0, 0},
      {"gelu_tanh", algorithm::eltwise_gelu_tanh, 0, 0},
      {"tanh", algorithm::eltwise_tanh, 0, 0},
      {"sigmoid", algorithm::eltwise_logistic, 0, 0},
      {"exponential", algorithm::eltwise_exp, 0, 0},
      {"hard_sigmoid", algorithm::eltwise_hardsigmoid, 1.f / 6, 0.5f},
      {"hard_silu", algorithm::eltwise_hardswish, 1.f / 6, 0.5f},
      {"mish", algorithm::eltwise_mish, 0, 0},
  };
  for (const row& r : rows)
    if (name == r.name) return ops->append_eltwise(r.kind, r.alpha, r.beta);
  throw unsuitable("no " + name);
}

struct stage {
  bool depthwise;
  std::int64_t inputs, outputs;
  const char *weights, *bias;
  std::string activation;
};

std::vector<stage> stages_of(const shape_case& c) {
  std::vector<stage> stages;
  const bool both = c.depthwise() && c.pointwise();
  const char *last = c.bias ? "bias" : nullptr, *middle = c.depthwise_bias ? "depthwise_bias" : nullptr;
  if (c.depthwise())
    stages.push_back({true, c.c, c.depth(), "depthwise_kernel", both ? middle : last,
                      both ? c.depthwise_activation : c.activation});
  if (c.pointwise()) stages.push_back({false, c.depth(), c.filters, "pointwise_kernel", last, c.activation});
  return stages;
}

// Adds one convolution; its source is `x`, its target has the layout `out` (or any). Returns the target.
dnnl::memory convolve(call& k, const shape_case& c, const stage& s, bool first, dnnl::memory x, tag in, tag out,
                      const std::string& folder) {
  using dims = dnnl::memory::dims;
  const auto f32 = dnnl::memory::data_type::f32;
  const std::int64_t kh = s.depthwise ? c.kernel[0] : 1, kw = s.depthwise ? c.kernel[1] : 1, per = s.outputs / s.inputs;
  const dims weights_dims = s.depthwise ? dims{s.inputs, per, 1, kh, kw} : dims{s.outputs, s.inputs, 1, 1};
  // (rows, columns, channels, multiplier) and (inputs, outputs), as the cases have them
  const dims weights_strides = s.depthwise ? dims{per, 1, 1, kw * s.outputs, s.outputs} : dims{1, s.outputs, 1, 1};
  const dims from{c.n, s.inputs, first ? c.h : c.output_size(0), first ? c.w : c.output_size(1)};
  const dims to{c.n, s.outputs, c.output_size(0), c.output_size(1)};
  const bool window = s.depthwise || first;
  const dims strides = window ? dims{c.strides[0], c.strides[1]} : dims{1, 1};
  const dims dilation = s.depthwise ? dims{c.dilation[0] - 1, c.dilation[1] - 1} : dims{0, 0};
  const dims before = s.depthwise ? dims{c.pad(0, 0), c.pad(1, 0)} : dims{0, 0};
  const dims after = s.depthwise ? dims{c.pad(0, 1), c.pad(1, 1)} : dims{0, 0};

  dnnl::post_ops ops;
  add_activation(s.activation, &ops);
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(ops);
  const dnnl::memory::desc bias_desc = s.bias ? dnnl::memory::desc({s.outputs}, f32, tag::a) : dnnl::memory::desc();
  const dnnl::convolution_forward::primitive_desc desc(
      k.engine, dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, {from, f32, in},
      {weights_dims, f32, tag::any}, bias_desc, {to, f32, out}, strides, dilation, before, after, attributes);
  x = k.as(x, desc.src_desc(), &k.steps);
  const std::size_t count = static_cast<std::size_t>(s.depthwise ? c.depthwise_count() : s.inputs * s.outputs);
  const dnnl::memory plain = k.wrap({weights_dims, f32, weights_strides}, array::read(folder, s.weights, 4 * count));
  arguments args{{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, k.as(plain, desc.weights_desc(), nullptr)}};
  if (s.bias) args[DNNL_ARG_BIAS] = k.wrap(bias_desc, array::read(folder, s.bias, 4 * static_cast<std::size_t>(s.outputs)));
  const dnnl::memory y = k.fresh(desc.dst_desc());
  args[DNNL_ARG_DST] = y;
  k.steps.push_back({dnnl::convolution_forward(desc), args, false});
  return y;
}

prepared make(const shape_case& c, const std::string& folder, const std::string& setting, tag between, bool free_layout) {
  const auto k = std::make_shared<call>();
  const auto f32 = dnnl::memory::data_type::f32;
  const tag plain = c.channels_first() ? tag::nchw : tag::nhwc;
  const tag edge = free_layout ? tag::any : plain;
  const dnnl::memory::desc input({c.n, c.c, c.h, c.w}, f32, plain);
  const dnnl::memory::desc output({c.n, c.outputs(), c.output_size(0), c.output_size(1)}, f32, plain);
  dnnl::memory x = k->wrap(input, array::read(folder, "x", input.get_size()));
  const std::vector<stage> stages = stages_of(c);
  for (std::size_t i = 0; i < stages.size(); ++i) {
    const bool last = i + 1 == stages.size();
    x = convolve(*k, c, stages[i], i == 0, x, i == 0 ? edge : between, last ? edge : between, folder);
  }
  const bool ours = free_layout && !c.channels_first();  // then input and output stay as oneDNN likes them
  if (ours && k->steps.front().moves) {
    step& reorder = k->steps.front();
    reorder.primitive.execute(k->stream, reorder.args);
    k->stream.wait();
    k->steps.erase(k->steps.begin());
  }
  k->result = std::make_unique<array>(output.get_size());
  dnnl::memory result(output, k->engine, k->result->get());
  step last{dnnl::reorder(x, result), {{DNNL_ARG_FROM, x}, {DNNL_ARG_TO, result}}, true};
  if (ours || x.get_desc() == output)
    k->after.push_back(last);
  else
    k->steps.push_back(last);
  const auto execute = [k](const std::vector<step>& steps) {
    for (const step& s : steps) s.primitive.execute(k->stream, s.args);
    k->stream.wait();
  };
  return {setting, [=] { execute(k->steps); },
          [=]() -> const array& {
            execute(k->after);
            return *k->result;
          }};
}

std::vector<prepared> prepare(const shape_case& c, const std::string& folder) {
  if (c.dtype != "float32") throw unsuitable("no " + c.dtype);
  const tag plain = c.channels_first() ? tag::nchw : tag::nhwc;
  return {make(c, folder, "any", tag::any, true), make(c, folder, c.channels_first() ? "nchw" : "nhwc", plain, false)};
}

}  // namespace

int main() {
  const dnnl_version_t* v = dnnl_version();
  library lib;
  lib.version = "oneDNN " + std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
  lib.prepare = prepare;
  lib.other = [](const json&) -> std::string { throw std::runtime_error("unknown question"); };
  return serve(lib);
}
