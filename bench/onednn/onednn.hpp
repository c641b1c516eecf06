// What a forward pass and a step of training of oneDNN share.
#pragma once

#include <memory>
#include <unordered_map>

#include "oneapi/dnnl/dnnl.hpp"
#include "worker.hpp"

namespace bench {

using tag = dnnl::memory::format_tag;
using arguments = std::unordered_map<int, dnnl::memory>;

struct step {
  dnnl::primitive primitive;
  arguments args;
};

struct call {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::vector<step> steps, after;  // `after` only brings the result into the layout of the case
  std::vector<array> arrays;
  std::unique_ptr<array> result;

  void execute(const std::vector<step>& some) {
    for (const step& s : some) s.primitive.execute(stream, s.args);
    stream.wait();
  }
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
      steps_to->push_back({reorder, {{DNNL_ARG_FROM, m}, {DNNL_ARG_TO, target}}});
    } else {
      reorder.execute(stream, m, target);
      stream.wait();
    }
    return target;
  }
};

inline void add_activation(const std::string& name, dnnl::post_ops* ops) {
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

inline std::vector<stage> stages_of(const shape_case& c) {
  std::vector<stage> stages;
  const bool both = c.depthwise() && c.pointwise();
  const char *last = c.bias ? "bias" : nullptr, *middle = c.depthwise_bias ? "depthwise_bias" : nullptr;
  if (c.depthwise())
    stages.push_back({true, c.c, c.depth(), "depthwise_kernel", both ? middle : last,
                      both ? c.depthwise_activation : c.activation});
  if (c.pointwise()) stages.push_back({false, c.depth(), c.filters, "pointwise_kernel", last, c.activation});
  return stages;
}

// A stage as a convolution of oneDNN.
struct geometry {
  using dims = dnnl::memory::dims;
  dims weights, from, to, strides, dilation, before, after;
  dnnl::memory::desc given;  // the weights, (rows, columns, channels, multiplier) or (inputs, outputs), as the cases have them
  dnnl::memory::desc bias;

  geometry(const shape_case& c, const stage& s, bool first) {
    const auto f32 = dnnl::memory::data_type::f32;
    const std::int64_t kh = s.depthwise ? c.kernel[0] : 1, kw = s.depthwise ? c.kernel[1] : 1, per = s.outputs / s.inputs;
    weights = s.depthwise ? dims{s.inputs, per, 1, kh, kw} : dims{s.outputs, s.inputs, 1, 1};
    given = {weights, f32, s.depthwise ? dims{per, 1, 1, kw * s.outputs, s.outputs} : dims{1, s.outputs, 1, 1}};
    if (s.bias) bias = {{s.outputs}, f32, tag::a};
    from = {c.n, s.inputs, first ? c.h : c.output_size(0), first ? c.w : c.output_size(1)};
    to = {c.n, s.outputs, c.output_size(0), c.output_size(1)};
    strides = s.depthwise || first ? dims{c.strides[0], c.strides[1]} : dims{1, 1};
    dilation = s.depthwise ? dims{c.dilation[0] - 1, c.dilation[1] - 1} : dims{0, 0};
    before = s.depthwise ? dims{c.pad(0, 0), c.pad(1, 0)} : dims{0, 0};
    after = s.depthwise ? dims{c.pad(0, 1), c.pad(1, 1)} : dims{0, 0};
  }

  dnnl::convolution_forward::primitive_desc forward(const dnnl::engine& engine, dnnl::prop_kind kind, const stage& s, tag in,
                                                    tag out) const {
    const auto f32 = dnnl::memory::data_type::f32;
    dnnl::post_ops ops;
    add_activation(s.activation, &ops);
    dnnl::primitive_attr attributes;
    attributes.set_post_ops(ops);
    return {engine, kind, dnnl::algorithm::convolution_direct, {from, f32, in}, {weights, f32, tag::any}, bias, {to, f32, out},
            strides, dilation, before, after, attributes};
  }
};

// One convolution of a call, with what it reads and writes.
struct convolution {
  dnnl::convolution_forward::primitive_desc desc;
  dnnl::memory x, weights, y;
};

// Adds one convolution; its source is `x`, its target has the layout `out` (or any). A source in another layout than this one wants
// is reordered now or (`moves`) in every call.
inline convolution convolve(call& k, const geometry& g, const stage& s, dnnl::prop_kind kind, dnnl::memory x, tag in, tag out,
                            bool moves, const std::string& folder) {
  convolution made{g.forward(k.engine, kind, s, in, out), {}, {}, {}};
  made.x = k.as(x, made.desc.src_desc(), moves ? &k.steps : nullptr);
  made.weights = k.as(k.wrap(g.given, array::read(folder, s.weights, g.given.get_size())), made.desc.weights_desc(), nullptr);
  made.y = k.fresh(made.desc.dst_desc());
  arguments args{{DNNL_ARG_SRC, made.x}, {DNNL_ARG_WEIGHTS, made.weights}, {DNNL_ARG_DST, made.y}};
  if (s.bias) args[DNNL_ARG_BIAS] = k.wrap(g.bias, array::read(folder, s.bias, g.bias.get_size()));
  k.steps.push_back({dnnl::convolution_forward(made.desc), args});
  return made;
}

}  // namespace bench
