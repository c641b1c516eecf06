// All gradients of whole operators, and whole steps of training (weights packed, the forward pass, all gradients): every case of
// tests/shapes with 1 and 2 threads. "of peak" is the share of what multiply-adds in registers reach.
#include <chrono>

#include "operators.hpp"

using namespace bench;

namespace {

struct gradients_call {
  sepconv::plan plan;
  sepconv::vjp vjp;
  random_weights weights;
  sepconv::buffer input, output, up, to_input, to_weights, workspace;
  sepconv_gradients to = sepconv::make_gradients();

  gradients_call(const shape_case& c, const sepconv_spec& spec, std::int32_t wanted)
      : plan(spec),
        vjp(spec, wanted),
        weights(c),
        input(static_cast<std::size_t>(c.input_count()) * c.item()),
        output(static_cast<std::size_t>(c.output_count()) * c.item()),
        up(static_cast<std::size_t>(c.output_count()) * c.item()),
        to_input(static_cast<std::size_t>(c.input_count()) * c.item()),
        to_weights(static_cast<std::size_t>(c.depthwise_count() + c.depth() * (c.filters + 1) + c.outputs()) * c.item() + 64),
        workspace(std::max(plan.workspace_size(), vjp.workspace_size()) + 64) {
    fill(input.get(), c.input_count(), c.item() == 8);
    fill(output.get(), c.output_count(), c.item() == 8);
    fill(up.get(), c.output_count(), c.item() == 8);
    char* at = static_cast<char*>(to_weights.get());
    const auto take = [&](std::int32_t what, std::int64_t count) -> void* {
      char* const from = at;
      at += static_cast<std::size_t>(count) * c.item();
      return wanted & what ? from : nullptr;
    };
    to.input = to_input.get();
    to.depthwise_kernel = take(SEPCONV_GRADIENT_DEPTHWISE_KERNEL, c.depthwise_count());
    to.depthwise_bias = take(SEPCONV_GRADIENT_DEPTHWISE_BIAS, c.depth());
    to.pointwise_kernel = take(SEPCONV_GRADIENT_POINTWISE_KERNEL, c.depth() * c.filters);
    to.bias = take(SEPCONV_GRADIENT_BIAS, c.outputs());
  }
  void forward() const { plan.run(plan.make_pack(weights.get()), input.get(), output.get(), workspace.get()); }
  void run() const { vjp.run(weights.get(), input.get(), output.get(), up.get(), to, workspace.get()); }
};

// float32
double peak(int threads) {
  double flops = 0;
  sepconv::check(sepconv_measure_fma_peak(threads, &flops));
  return flops;
}

}  // namespace

int main(int argc, char** argv) {
  for (int threads : {1, 2}) {
    const double limit = peak(threads);
    for_each_case(threads, [&](const shape_case& c, const sepconv_spec& spec, const std::string& name) {
      std::int32_t wanted = SEPCONV_GRADIENT_INPUT | SEPCONV_GRADIENT_BIAS;
      if (c.depthwise()) wanted |= SEPCONV_GRADIENT_DEPTHWISE_KERNEL;
      if (c.pointwise()) wanted |= SEPCONV_GRADIENT_POINTWISE_KERNEL;
      for (bool step : {false, true}) {
        const std::string full = name + (step ? "/step" : "/gradients") + "/threads:" + std::to_string(threads);
        benchmark::RegisterBenchmark(full.c_str(), [=](benchmark::State& state) {
          const gradients_call call(c, spec, wanted);
          const auto start = std::chrono::steady_clock::now();
          for (auto _ : state) {
            if (step) call.forward();
            call.run();
          }
          const double flops = (step ? 3 : 2) * call.plan.info().flops * static_cast<double>(state.iterations());
          state.counters["FLOP/s"] = benchmark::Counter(flops, benchmark::Counter::kIsRate);
          const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
          state.counters["of peak"] = flops / took.count() / limit * static_cast<double>(c.item()) / 4;
        })->UseRealTime()->Unit(benchmark::kMicrosecond);
      }
    });
  }
  return run_all(argc, argv);
}
