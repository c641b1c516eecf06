// A case of tests/shapes with everything that a call needs, through the public interface.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "cases.hpp"

namespace bench {

// Values between -1 and 1, the same every time.
inline void fill(void* to, std::int64_t count, bool wide) {
  std::uint32_t state = 1;
  for (std::int64_t i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    const double value = static_cast<double>(state >> 8) / (1 << 23) - 1;
    if (wide)
      static_cast<double*>(to)[i] = value;
    else
      static_cast<float*>(to)[i] = static_cast<float>(value);
  }
}

// Weights of small values, in memory that is freed with this.
class random_weights {
 public:
  explicit random_weights(const shape_case& c) : wide_(c.item() == 8) {
    weights_.dtype = wide_ ? SEPCONV_FLOAT64 : SEPCONV_FLOAT32;
    if (c.depthwise()) weights_.depthwise_kernel = make(c.depthwise_count());
    if (c.depthwise() && c.pointwise() && c.depthwise_bias) weights_.depthwise_bias = make(c.depth());
    if (c.pointwise()) weights_.pointwise_kernel = make(c.depth() * c.filters);
    if (c.bias) weights_.bias = make(c.outputs());
  }
  const sepconv_weights& get() const { return weights_; }

 private:
  const void* make(std::int64_t count) {
    memory_.emplace_back(static_cast<std::size_t>(count) * (wide_ ? 8 : 4));
    fill(memory_.back().data(), count, wide_);
    return memory_.back().data();
  }

  bool wide_;
  sepconv_weights weights_ = sepconv::make_weights();
  std::vector<std::vector<char>> memory_;
};

// One call, ready to be made.
struct operation {
  sepconv::plan plan;
  sepconv::pack pack;
  sepconv::buffer input, output, workspace;

  operation(const shape_case& c, const sepconv_spec& spec)
      : plan(spec),
        pack(plan.make_pack(random_weights(c).get())),
        input(static_cast<std::size_t>(c.input_count()) * c.item()),
        output(static_cast<std::size_t>(c.output_count()) * c.item()),
        workspace(plan.workspace_size() + 64) {
    fill(input.get(), c.input_count(), c.item() == 8);
  }
  void run() const { plan.run(pack, input.get(), output.get(), workspace.get()); }
};

// body(case, spec, "family/name") for every case that the core has.
template <class F>
void for_each_case(int threads, F&& body) {
  for (const std::string& family : families())
    for (const shape_case& c : read_cases(SEPCONV_SHAPES, family)) {
      sepconv_spec spec;
      if (make_spec(c, threads, &spec)) body(c, spec, family + "/" + c.name);
    }
}

inline int run_all(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace bench
