// Bytes read and written per second by `threads` threads that copy, each in buffers of its own.
#pragma once

#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

namespace bench {

// `bytes` of all buffers together, sources and targets; for about `seconds`.
inline double copy_bandwidth(int threads, std::size_t bytes, double seconds) {
  using clock = std::chrono::steady_clock;
  const std::size_t half = bytes / 2 / static_cast<std::size_t>(threads) / 64 * 64;
  std::atomic<int> ready{0};
  std::vector<double> rates(static_cast<std::size_t>(threads));
  std::vector<std::thread> team;
  for (int i = 0; i < threads; ++i)
    team.emplace_back([&, i] {
      std::vector<char> from(half, 1), to(half, 2);
      std::memcpy(to.data(), from.data(), half);
      ++ready;
      while (ready < threads) {
      }
      std::size_t moved = 0;
      const clock::time_point start = clock::now();
      double took = 0;
      while (took < seconds) {
        for (std::size_t done = 0; done < (1u << 20); done += half, moved += 2 * half) {
          std::memcpy(to.data(), from.data(), half);
          asm volatile("" : : "r"(to.data()) : "memory");
        }
        took = std::chrono::duration<double>(clock::now() - start).count();
      }
      rates[static_cast<std::size_t>(i)] = static_cast<double>(moved) / took;
    });
  for (std::thread& t : team) t.join();
  double sum = 0;
  for (double rate : rates) sum += rate;
  return sum;
}

}  // namespace bench
