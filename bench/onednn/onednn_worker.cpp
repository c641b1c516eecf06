// oneDNN called directly, for bench/peers.py: a depthwise convolution, then a 1x1 one, bias and activation as post-operations,
// weights reordered beforehand. The layout of a channels_last case's input and output is oneDNN's choice (tried: any, and nhwc);
// that of a channels_first case is nchw, either read and written as it is or reordered in the timed call.
#include "onednn.hpp"
#include "onednn_train.hpp"

namespace {

using namespace bench;

prepared make(const shape_case& c, const std::string& folder, const std::string& setting, tag between, bool free_layout) {
  const auto k = std::make_shared<call>();
  const auto f32 = dnnl::memory::data_type::f32;
  const tag plain = c.channels_first() ? tag::nchw : tag::nhwc;
  const tag edge = free_layout ? tag::any : plain;
  const bool ours = free_layout && !c.channels_first();  // then input and output stay as oneDNN likes them
  const dnnl::memory::desc input({c.n, c.c, c.h, c.w}, f32, plain);
  const dnnl::memory::desc output({c.n, c.outputs(), c.output_size(0), c.output_size(1)}, f32, plain);
  dnnl::memory x = k->wrap(input, array::read(folder, "x", input.get_size()));
  const std::vector<stage> stages = stages_of(c);
  for (std::size_t i = 0; i < stages.size(); ++i) {
    const bool first = i == 0, last = i + 1 == stages.size();
    const geometry g(c, stages[i], first);
    x = convolve(*k, g, stages[i], dnnl::prop_kind::forward_inference, x, first ? edge : between, last ? edge : between,
                 !(first && ours), folder)
            .y;
  }
  k->result = std::make_unique<array>(output.get_size());
  dnnl::memory result(output, k->engine, k->result->get());
  (ours || x.get_desc() == output ? k->after : k->steps)
      .push_back({dnnl::reorder(x, result), {{DNNL_ARG_FROM, x}, {DNNL_ARG_TO, result}}});
  return {setting, [k] { k->execute(k->steps); },
          [k]() -> const array& {
            k->execute(k->after);
            return *k->result;
          }};
}

std::vector<prepared> prepare(const shape_case& c, const std::string& folder) {
  if (c.dtype != "float32") throw unsuitable("no " + c.dtype);
  const tag plain = c.channels_first() ? tag::nchw : tag::nhwc;
  const auto one = c.train ? make_step : make;
  return {one(c, folder, "any", tag::any, true), one(c, folder, c.channels_first() ? "nchw" : "nhwc", plain, false)};
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
