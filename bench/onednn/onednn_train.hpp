// A step of training: both convolutions, then backwards relu's primitive and each convolution's two. Weights and their gradients
// stay as the forward pass likes them; where a gradient wants them otherwise, they are reordered in the timed call.
#pragma once

#include "onednn.hpp"

namespace bench {

// From the gradient of the activation's result, which has the layout of `y`, to that of its argument.
inline dnnl::memory derive(call& k, const std::string& activation, const dnnl::memory& y, const dnnl::memory& up) {
  using dnnl::algorithm;
  if (activation == "linear") return up;
  if (activation != "relu" && activation != "relu6") throw unsuitable("no gradient of " + activation);
  const bool relu = activation == "relu";
  const algorithm kind = relu ? algorithm::eltwise_relu_use_dst_for_bwd : algorithm::eltwise_clip_v2_use_dst_for_bwd;
  const float high = relu ? 0.f : 6.f;
  const dnnl::memory::desc desc = y.get_desc();
  const dnnl::eltwise_forward::primitive_desc hint(k.engine, dnnl::prop_kind::forward_training, kind, desc, desc, 0.f, high);
  const dnnl::eltwise_backward::primitive_desc back(k.engine, kind, desc, desc, desc, 0.f, high, hint);
  const dnnl::memory down = k.fresh(desc);
  k.steps.push_back({dnnl::eltwise_backward(back), {{DNNL_ARG_DST, y}, {DNNL_ARG_DIFF_DST, up}, {DNNL_ARG_DIFF_SRC, down}}});
  return down;
}

struct gradients {
  dnnl::memory x, weights, bias;
};

inline gradients differentiate(call& k, const geometry& g, const convolution& f, const dnnl::memory& up, tag in, tag out) {
  const auto f32 = dnnl::memory::data_type::f32;
  const auto direct = dnnl::algorithm::convolution_direct;
  const dnnl::memory::desc x(g.from, f32, in), weights(g.weights, f32, tag::any), y(g.to, f32, out);
  gradients found;

  const dnnl::convolution_backward_weights::primitive_desc w(k.engine, direct, x, weights, g.bias, y, g.strides, g.dilation,
                                                             g.before, g.after, f.desc);
  found.weights = k.fresh(w.diff_weights_desc());
  arguments args{{DNNL_ARG_SRC, k.as(f.x, w.src_desc(), &k.steps)},
                 {DNNL_ARG_DIFF_DST, k.as(up, w.diff_dst_desc(), &k.steps)},
                 {DNNL_ARG_DIFF_WEIGHTS, found.weights}};
  if (g.bias.get_size()) args[DNNL_ARG_DIFF_BIAS] = found.bias = k.fresh(g.bias);
  k.steps.push_back({dnnl::convolution_backward_weights(w), args});

  const dnnl::convolution_backward_data::primitive_desc d(k.engine, direct, x, weights, y, g.strides, g.dilation, g.before,
                                                          g.after, f.desc);
  found.x = k.fresh(d.diff_src_desc());
  const dnnl::memory moved = k.as(f.weights, d.weights_desc(), &k.steps), from = k.as(up, d.diff_dst_desc(), &k.steps);
  k.steps.push_back({dnnl::convolution_backward_data(d),
                     {{DNNL_ARG_WEIGHTS, moved}, {DNNL_ARG_DIFF_DST, from}, {DNNL_ARG_DIFF_SRC, found.x}}});
  return found;
}

// Layouts as in `make` of onednn_worker.cpp.
inline prepared make_step(const shape_case& c, const std::string& folder, const std::string& setting, tag between,
                          bool free_layout) {
  const auto k = std::make_shared<call>();
  const auto f32 = dnnl::memory::data_type::f32;
  const tag plain = c.channels_first() ? tag::nchw : tag::nhwc;
  const tag edge = free_layout ? tag::any : plain;
  const bool ours = free_layout && !c.channels_first();
  const dnnl::memory::desc input({c.n, c.c, c.h, c.w}, f32, plain);
  const dnnl::memory::desc output({c.n, c.outputs(), c.output_size(0), c.output_size(1)}, f32, plain);
  const std::vector<stage> stages = stages_of(c);
  const auto in = [&](std::size_t i) { return i == 0 ? edge : between; };
  const auto out = [&](std::size_t i) { return i + 1 == stages.size() ? edge : between; };

  dnnl::memory y = k->wrap(input, array::read(folder, "x", input.get_size()));
  std::vector<convolution> made;
  std::vector<geometry> all;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    all.emplace_back(c, stages[i], i == 0);
    const bool moves = !(i == 0 && ours);
    made.push_back(convolve(*k, all[i], stages[i], dnnl::prop_kind::forward_training, y, in(i), out(i), moves, folder));
    y = made[i].y;
  }
  dnnl::memory up = k->wrap(output, array::read(folder, "dy", output.get_size()));
  up = derive(*k, c.activation, y, k->as(up, y.get_desc(), ours ? nullptr : &k->steps));
  std::vector<gradients> found(stages.size());
  for (std::size_t i = stages.size(); i-- > 0; up = found[i].x) found[i] = differentiate(*k, all[i], made[i], up, in(i), out(i));
  if (!ours) {
    y = k->as(y, output, &k->steps);
    up = k->as(up, input, &k->steps);
  }

  // The result, in the order of gradients.py.
  k->result = std::make_unique<array>(4 * static_cast<std::size_t>(c.step_count()));
  char* at = k->result->get();
  const auto put = [&](const dnnl::memory& from, const dnnl::memory::desc& desc) {
    const dnnl::memory to(desc, k->engine, at);
    k->after.push_back({dnnl::reorder(from, to), {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}}});
    at += desc.get_size();
  };
  put(y, output);
  put(up, input);
  for (std::size_t i = 0; i < stages.size(); ++i) {
    put(found[i].weights, all[i].given);
    if (stages[i].bias) put(found[i].bias, all[i].bias);
  }
  return {setting, [k] { k->execute(k->steps); },
          [k]() -> const array& {
            k->execute(k->after);
            return *k->result;
          }};
}

}  // namespace bench
