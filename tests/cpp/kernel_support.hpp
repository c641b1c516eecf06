// Kernels called through the table, one instruction set and storage type at a time.
#pragma once

#include <cmath>
#include <limits>

#include "kernels/kernel_types.hpp"
#include "run.hpp"

namespace test {

using sepconv::block_channels;
using sepconv::kernel_set;

constexpr double infinity = std::numeric_limits<double>::infinity();

// body(isa, dtype, kernels) for every set that this machine runs. Its messages say which.
template <class F>
void for_each_set(F&& body) {
  for (const std::string& isa : isas())
    for (int32_t dtype : dtypes) {
      SCOPED_TRACE(isa + ", dtype " + std::to_string(dtype));
      body(*sepconv::find_isa(isa.c_str()).sets[dtype], dtype);
      if (testing::Test::HasFailure()) return;
    }
}

// body(kernels, T{}) for the two types of sums.
template <class F>
void for_each_sum_type(F&& body) {
  for (const std::string& isa : isas()) {
    SCOPED_TRACE(isa);
    body(*sepconv::find_isa(isa.c_str()).sets[SEPCONV_FLOAT32], float{});
    body(*sepconv::find_isa(isa.c_str()).sets[SEPCONV_FLOAT64], double{});
    if (testing::Test::HasFailure()) return;
  }
}

// The clamp as it is promised: NaN and -0 pass.
template <class T>
T clamped(T x, double lo, double hi) {
  x = static_cast<T>(lo) > x ? static_cast<T>(lo) : x;
  return static_cast<T>(hi) < x ? static_cast<T>(hi) : x;
}

// Fills a guarded buffer with normal values of `dtype` and seals it.
inline void fill_normal(guarded& buffer, int32_t dtype, generator& r) {
  for (std::size_t i = 0; i < buffer.size() / size_of(dtype); ++i)
    put(buffer.get(), dtype, static_cast<int64_t>(i), round_to(dtype, r.normal()));
  buffer.read_only();
}

template <class T>
constexpr int32_t dtype_of = sizeof(T) == 8 ? SEPCONV_FLOAT64 : SEPCONV_FLOAT32;

inline std::size_t bytes_of(int64_t count, std::size_t size) { return static_cast<std::size_t>(count) * size; }

}  // namespace test
