// Packing the weights of every case.
#include "operators.hpp"

using namespace bench;

int main(int argc, char** argv) {
  for_each_case(1, [](const shape_case& c, const sepconv_spec& spec, const std::string& name) {
    benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
      const sepconv::plan plan(spec);
      const random_weights weights(c);
      for (auto _ : state) {
        const sepconv::pack pack = plan.make_pack(weights.get());
        benchmark::DoNotOptimize(pack.get());
      }
    });
  });
  return run_all(argc, argv);
}
