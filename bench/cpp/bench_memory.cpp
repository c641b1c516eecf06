// A large output from the pool and from the system: taken, written once, given back.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <cstring>

#include "runtime/memory.hpp"

namespace {

template <void* (*Take)(std::size_t), void (*Give)(void*)>
void write_once(benchmark::State& state) {
  const std::size_t size = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) {
    void* memory = Take(size);
    std::memset(memory, 1, size);
    benchmark::ClobberMemory();
    Give(memory);
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

void sizes(benchmark::internal::Benchmark* b) { b->RangeMultiplier(8)->Range(64 << 10, 32 << 20); }

BENCHMARK_TEMPLATE(write_once, sepconv::pool_alloc, sepconv::pool_free)->Name("pool")->Apply(sizes);
BENCHMARK_TEMPLATE(write_once, std::malloc, std::free)->Name("malloc")->Apply(sizes);

}  // namespace

BENCHMARK_MAIN();
