// Whole operators: every case of tests/shapes with 1 and 2 threads, weights packed. bench/compare.py runs this for two revisions.
#include "operators.hpp"

using namespace bench;

int main(int argc, char** argv) {
  for (int threads : {1, 2})
    for_each_case(threads, [&](const shape_case& c, const sepconv_spec& spec, const std::string& name) {
      benchmark::RegisterBenchmark((name + "/threads:" + std::to_string(threads)).c_str(), [=](benchmark::State& state) {
        const operation call(c, spec);
        for (auto _ : state) call.run();
        const double flops = call.plan.info().flops * static_cast<double>(state.iterations());
        state.counters["FLOP/s"] = benchmark::Counter(flops, benchmark::Counter::kIsRate);
      })->UseRealTime()->Unit(benchmark::kMicrosecond);
    });
  return run_all(argc, argv);
}
