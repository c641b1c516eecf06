// sepconv through its C interface, for bench/peers.py; measures the machine's bandwidth, too.
#include <algorithm>
#include <cstdlib>
#include <memory>

#include "bandwidth.hpp"
#include "worker.hpp"

namespace {

using namespace bench;

struct call {
  sepconv::plan plan;
  sepconv::pack pack;
  array input, output;
  sepconv::buffer workspace;
};

sepconv_weights read_weights(const shape_case& c, const std::string& folder, std::vector<array>* arrays) {
  const auto read = [&](const char* name, std::int64_t count) -> const void* {
    arrays->push_back(array::read(folder, name, static_cast<std::size_t>(count) * c.item()));
    return arrays->back().get();
  };
  sepconv_weights weights = sepconv::make_weights();
  weights.dtype = c.dtype == "float64" ? SEPCONV_FLOAT64 : SEPCONV_FLOAT32;
  if (c.depthwise()) weights.depthwise_kernel = read("depthwise_kernel", c.depthwise_count());
  if (c.depthwise() && c.pointwise() && c.depthwise_bias) weights.depthwise_bias = read("depthwise_bias", c.depth());
  if (c.pointwise()) weights.pointwise_kernel = read("pointwise_kernel", c.depth() * c.filters);
  if (c.bias) weights.bias = read("bias", c.outputs());
  return weights;
}

// A step of training: weights are packed in it, since the step before has changed them.
struct step {
  sepconv::plan plan;
  sepconv::vjp vjp;
  std::vector<array> arrays;
  sepconv_weights weights;
  array input, up, result;
  sepconv_gradients gradients;
  sepconv::buffer workspace;

  step(const shape_case& c, const sepconv_spec& spec, const std::string& folder)
      : plan(spec),
        vjp(spec, wanted(c)),
        weights(read_weights(c, folder, &arrays)),
        input(array::read(folder, "x", static_cast<std::size_t>(c.input_count()) * c.item())),
        up(array::read(folder, "dy", static_cast<std::size_t>(c.output_count()) * c.item())),
        result(static_cast<std::size_t>(c.step_count()) * c.item()),
        gradients(sepconv::make_gradients()),
        workspace(std::max(plan.workspace_size(), vjp.workspace_size()) + 64) {
    char* at = result.get() + static_cast<std::size_t>(c.output_count()) * c.item();
    const auto take = [&](std::int64_t count) {
      char* const from = at;
      at += static_cast<std::size_t>(count) * c.item();
      return count ? from : nullptr;
    };
    gradients.input = take(c.input_count());
    gradients.depthwise_kernel = take(c.depthwise() ? c.depthwise_count() : 0);
    gradients.pointwise_kernel = take(c.pointwise_count());
    gradients.bias = take(c.bias ? c.outputs() : 0);
  }
  static std::int32_t wanted(const shape_case& c) {
    return SEPCONV_GRADIENT_INPUT | (c.depthwise() ? SEPCONV_GRADIENT_DEPTHWISE_KERNEL : 0) |
           (c.pointwise() ? SEPCONV_GRADIENT_POINTWISE_KERNEL : 0) | (c.bias ? SEPCONV_GRADIENT_BIAS : 0);
  }
  void run() const {
    const sepconv::pack pack = plan.make_pack(weights);
    plan.run(pack, input.get(), result.get(), workspace.get());
    vjp.run(weights, input.get(), result.get(), up.get(), gradients, workspace.get());
  }
};

std::vector<prepared> prepare(const shape_case& c, const std::string& folder, int threads) {
  sepconv_spec spec;
  if (!make_spec(c, threads, &spec)) throw unsuitable("no " + c.activation + " in the core");
  if (c.train) {
    const auto s = std::make_shared<step>(c, spec, folder);
    return {{s->plan.info().isa, [s] { s->run(); }, [s]() -> const array& { return s->result; }}};
  }
  sepconv::plan plan(spec);
  std::vector<array> arrays;
  sepconv::pack pack = plan.make_pack(read_weights(c, folder, &arrays));
  array input = array::read(folder, "x", static_cast<std::size_t>(c.input_count()) * c.item());
  sepconv::buffer workspace(plan.workspace_size() + 64);
  array output(static_cast<std::size_t>(c.output_count()) * c.item());
  const auto k = std::make_shared<call>(
      call{std::move(plan), std::move(pack), std::move(input), std::move(output), std::move(workspace)});
  const sepconv_plan_info info = k->plan.info();
  const std::string setting = std::string(info.isa) + ", gather over " + info.gather + ", lanes over " + info.lanes;
  return {{setting, [k] { k->plan.run(k->pack, k->input.get(), k->output.get(), k->workspace.get()); },
           [k]() -> const array& { return k->output; }}};
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  library lib;
  lib.version = std::string("sepconv ") + sepconv_version();
  lib.prepare = [&](const shape_case& c, const std::string& folder) { return prepare(c, folder, threads); };
  lib.other = [&](const json& question) {
    if (question.at("ask").text != "bandwidth") throw std::runtime_error("unknown question");
    return "\"bytes_per_second\": " +
           std::to_string(copy_bandwidth(threads, static_cast<std::size_t>(question.at("bytes").number), 0.03));
  };
  return serve(lib);
}
