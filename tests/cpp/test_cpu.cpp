// Facts about this machine, against what its operating system says by other ways.
#include "runtime/cpu.hpp"

#include <fstream>
#include <iterator>
#include <set>
#include <thread>

#include "support.hpp"

using namespace test;

namespace {

[[maybe_unused]] std::size_t reported(int name, std::size_t fallback) {
  const long size = sysconf(name);
  return size > 0 ? static_cast<std::size_t>(size) : fallback;
}

}  // namespace

TEST(cpu, caches_are_what_the_system_reports_within_bounds) {
  const sepconv::cache_sizes sizes = sepconv::get_cache_sizes();
  constexpr std::size_t kib = 1024;
#if defined(_SC_LEVEL1_DCACHE_SIZE)
  const std::size_t l1d = reported(_SC_LEVEL1_DCACHE_SIZE, 32 * kib), l2 = reported(_SC_LEVEL2_CACHE_SIZE, 512 * kib);
#else
  const std::size_t l1d = 32 * kib, l2 = 512 * kib;
#endif
  EXPECT_EQ(sizes.l1d, std::min(std::max(l1d, 16 * kib), 128 * kib)) << "reported: " << l1d;
  EXPECT_EQ(sizes.l2, std::min(std::max(l2, 256 * kib), 4096 * kib)) << "reported: " << l2;
  EXPECT_GT(sizes.l2, sizes.l1d);  // whatever is reported: the bounds do not overlap
}

TEST(cpu, system_info_says_the_same) {
  const sepconv_system_info info = sepconv::system_info();
  EXPECT_EQ(info.l1d_size, sepconv::get_cache_sizes().l1d);
  EXPECT_EQ(info.l2_size, sepconv::get_cache_sizes().l2);
}

// Each feature implies those that its kernels take for granted.
TEST(cpu, features_are_consistent) {
  const unsigned features = sepconv::get_cpu_features();
  constexpr unsigned known = sepconv::cpu_avx2 | sepconv::cpu_fma | sepconv::cpu_f16c | sepconv::cpu_avx512 | sepconv::cpu_bf16 | sepconv::cpu_amx;
  EXPECT_EQ(features & ~known, 0u);
#if defined(__x86_64__)
  EXPECT_TRUE((features & sepconv::cpu_avx2) || !(features & sepconv::cpu_f16c));  // whose registers it shares
  EXPECT_TRUE((features & sepconv::cpu_avx2) || !(features & sepconv::cpu_avx512));
  EXPECT_TRUE((features & sepconv::cpu_avx512) || !(features & sepconv::cpu_bf16));
  // The compiler's baseline runs, or this test would not.
#if defined(__AVX2__)
  EXPECT_TRUE(features & sepconv::cpu_avx2);
#endif
#else
  EXPECT_EQ(features, 0u);
#endif
}

#if defined(__x86_64__) && defined(__linux__)
// The flags of the first processor in /proc/cpuinfo; empty where there are none.
std::set<std::string> listed_flags() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.rfind("flags", 0) == 0) {
      std::istringstream words(line.substr(line.find(':') + 1));
      return {std::istream_iterator<std::string>(words), {}};
    }
  return {};
}

TEST(cpu, features_are_those_that_the_system_lists) {
  const std::set<std::string> listed = listed_flags();
  ASSERT_FALSE(listed.empty());
  const unsigned features = sepconv::get_cpu_features();
  const auto has = [&](const char* flag) { return listed.count(flag) > 0; };
  EXPECT_EQ((features & sepconv::cpu_avx2) != 0, has("avx2"));
  EXPECT_EQ((features & sepconv::cpu_fma) != 0, has("fma"));
  EXPECT_EQ((features & sepconv::cpu_f16c) != 0, has("f16c") && has("avx2"));
  EXPECT_EQ((features & sepconv::cpu_avx512) != 0, has("avx512f") && has("avx512bw") && has("avx512dq") && has("avx512vl"));
  EXPECT_EQ((features & sepconv::cpu_bf16) != 0, (features & sepconv::cpu_avx512) && has("avx512_bf16"));
  EXPECT_EQ((features & sepconv::cpu_amx) != 0, has("amx_bf16"));
}
#endif

TEST(cpu, answers_are_each_threads) {
  const sepconv::cache_sizes sizes = sepconv::get_cache_sizes();
  const unsigned features = sepconv::get_cpu_features();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      EXPECT_EQ(sepconv::get_cpu_features(), features);
      EXPECT_EQ(sepconv::get_cache_sizes().l1d, sizes.l1d);
      EXPECT_EQ(sepconv::get_cache_sizes().l2, sizes.l2);
    });
  for (std::thread& t : threads) t.join();
}
