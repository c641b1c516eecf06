// What a parallel region costs beside its work: nothing to do, for one index a worker and for many.
#include <benchmark/benchmark.h>

#include "runtime/parallel.hpp"

namespace {

void region(benchmark::State& state) {
  for (auto _ : state)
    sepconv::parallel_for(state.range(1), static_cast<int32_t>(state.range(0)), [](int64_t index, int32_t) {
      benchmark::DoNotOptimize(index);
    });
}

BENCHMARK(region)->ArgNames({"threads", "count"})->ArgsProduct({{1, 2, 4}, {4, 64, 1024}})->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
