// What the benches of kernels share: the table's entries, one instruction set and type of sums at a time, on data in L1.
#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "kernels/kernel_types.hpp"
#include "runtime/isa.hpp"
#include "sepconv/sepconv.h"

namespace bench {

using sepconv::block_channels;
using sepconv::kernel_set;

constexpr double infinity = std::numeric_limits<double>::infinity();

// body(kernels, T{}, "avx512/float32") for every instruction set of this machine and both types of sums.
template <class F>
void for_each_sum_type(F&& body) {
  std::istringstream list(sepconv::isa_names(true));
  for (std::string isa; std::getline(list, isa, ',');) {
    const sepconv::kernel_table& table = sepconv::find_isa(isa.c_str());
    body(*table.sets[SEPCONV_FLOAT32], float{}, isa + "/float32");
    body(*table.sets[SEPCONV_FLOAT64], double{}, isa + "/float64");
  }
}

// Elements that start at a multiple of 64 bytes; all 1, so that nothing is denormal.
template <class T>
class elements {
 public:
  explicit elements(int64_t count) : memory_(static_cast<std::size_t>(count) + 64 / sizeof(T), T(1)) {}
  T* get() {
    const std::uintptr_t at = reinterpret_cast<std::uintptr_t>(memory_.data());
    return memory_.data() + (64 - at % 64) % 64 / sizeof(T);
  }

 private:
  std::vector<T> memory_;
};

// Registers a bench that calls `kernel` again and again; what it does at a call is `flops` operations, or `items` elements.
template <class F>
void add(const std::string& name, double flops, double items, F kernel) {
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) mutable {
    for (auto _ : state) {
      kernel();
      benchmark::ClobberMemory();
    }
    const double calls = static_cast<double>(state.iterations());
    if (flops > 0) state.counters["FLOP/s"] = benchmark::Counter(calls * flops, benchmark::Counter::kIsRate);
    if (items > 0) state.counters["elements/s"] = benchmark::Counter(calls * items, benchmark::Counter::kIsRate);
  });
}

inline int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace bench
