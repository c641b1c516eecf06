// Facts about this machine.
#pragma once

#include <cstddef>

namespace sepconv {

struct cache_sizes {
  std::size_t l1d, l2;  // bytes, clamped: virtual machines and containers report odd values
};

cache_sizes get_cache_sizes();

// Instruction-set features that the kernels ask for. Baseline features are never asked for.
enum cpu_feature : unsigned { cpu_avx2 = 1, cpu_fma = 2, cpu_f16c = 4, cpu_avx512 = 8, cpu_bf16 = 16, cpu_amx = 32 };

unsigned get_cpu_features();

}  // namespace sepconv
