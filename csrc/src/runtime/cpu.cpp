#include "runtime/cpu.hpp"

#include <unistd.h>

#include <algorithm>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace sepconv {
namespace {

std::size_t ask([[maybe_unused]] int name, std::size_t fallback) {
  const long size = name < 0 ? 0 : sysconf(name);
  return size > 0 ? static_cast<std::size_t>(size) : fallback;
}

#if defined(_SC_LEVEL1_DCACHE_SIZE)
constexpr int l1d_name = _SC_LEVEL1_DCACHE_SIZE, l2_name = _SC_LEVEL2_CACHE_SIZE;
#else
constexpr int l1d_name = -1, l2_name = -1;
#endif

unsigned detect() {
#if defined(__x86_64__)
  __builtin_cpu_init();  // asks the operating system, too, whether it saves the registers
  unsigned features = 0, a, b, c, d;
  if (__builtin_cpu_supports("avx2")) features |= cpu_avx2;
  if (__builtin_cpu_supports("fma")) features |= cpu_fma;
  if (__get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C) && (features & cpu_avx2)) features |= cpu_f16c;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    features |= cpu_avx512;
  if ((features & cpu_avx512) && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 5)) features |= cpu_bf16;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & 1u << 22)) features |= cpu_amx;  // for bfloat16
  return features;
#else
  return 0;
#endif
}

}  // namespace

cache_sizes get_cache_sizes() {
  static const cache_sizes sizes = {
      std::clamp<std::size_t>(ask(l1d_name, 32 << 10), 16 << 10, 128 << 10),
      std::clamp<std::size_t>(ask(l2_name, 512 << 10), 256 << 10, 4 << 20),
  };
  return sizes;
}

unsigned get_cpu_features() {
  static const unsigned features = detect();
  return features;
}

}  // namespace sepconv
