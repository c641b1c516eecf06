// Whole operators in both precisions: the cases of tests/shapes whose sums have 256 values or more, on one thread.
#include "operators.hpp"

using namespace bench;

int main(int argc, char** argv) {
  for_each_case(1, [&](const shape_case& c, sepconv_spec spec, const std::string& name) {
    if (!c.pointwise() || c.depth() < 256 || spec.dtype != SEPCONV_FLOAT32) return;
    for (int32_t precision : {SEPCONV_PRECISION_DEFAULT, SEPCONV_PRECISION_BFLOAT16}) {
      spec.precision = precision;
      benchmark::RegisterBenchmark((name + (precision ? "/bfloat16" : "/default")).c_str(), [=](benchmark::State& state) {
        const operation call(c, spec);
        for (auto _ : state) call.run();
        const double flops = call.plan.info().flops * static_cast<double>(state.iterations());
        state.counters["FLOP/s"] = benchmark::Counter(flops, benchmark::Counter::kIsRate);
      })->UseRealTime()->Unit(benchmark::kMicrosecond);
    }
  });
  return run_all(argc, argv);
}
