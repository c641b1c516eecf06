// Making a plan: what the first call on a new shape pays beside packing.
#include "operators.hpp"

using namespace bench;

int main(int argc, char** argv) {
  for_each_case(2, [](const shape_case&, const sepconv_spec& spec, const std::string& name) {
    benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
      for (auto _ : state) {
        const sepconv::plan plan(spec);
        benchmark::DoNotOptimize(plan.get());
      }
    });
  });
  return run_all(argc, argv);
}
