// sepconv through its C interface, for bench/peers.py; measures the machine's bandwidth, too.
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

sepconv::pack make_pack(const sepconv::plan& plan, const shape_case& c, const std::string& folder) {
  std::vector<array> arrays;
  const auto read = [&](const char* name, std::int64_t count) -> const void* {
    arrays.push_back(array::read(folder, name, static_cast<std::size_t>(count) * c.item()));
    return arrays.back().get();
  };
  sepconv_weights weights = sepconv::make_weights();
  weights.dtype = c.dtype == "float64" ? SEPCONV_FLOAT64 : SEPCONV_FLOAT32;
  if (c.depthwise()) weights.depthwise_kernel = read("depthwise_kernel", c.depthwise_count());
  if (c.depthwise() && c.pointwise() && c.depthwise_bias) weights.depthwise_bias = read("depthwise_bias", c.depth());
  if (c.pointwise()) weights.pointwise_kernel = read("pointwise_kernel", c.depth() * c.filters);
  if (c.bias) weights.bias = read("bias", c.outputs());
  return plan.make_pack(weights);
}

std::vector<prepared> prepare(const shape_case& c, const std::string& folder, int threads) {
  sepconv_spec spec;
  if (!make_spec(c, threads, &spec)) throw unsuitable("no " + c.activation + " in the core");
  sepconv::plan plan(spec);
  sepconv::pack pack = make_pack(plan, c, folder);
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
