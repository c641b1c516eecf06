// The only file that knows of threads. Back ends: OpenMP, std::thread, serial (SEPCONV_BACKEND_*).
#pragma once

#include <cstdint>

namespace sepconv {

// Runs task(context, index, worker) for each index in [0, count), on at most `threads` workers numbered from 0. A worker claims the indices
// of its own range one by one, then those of others. Tasks never wait for one another, must not throw, and run with default floating-point
// modes. Serial inside another parallel region, and in a child of fork() that has no pool.
typedef void (*parallel_task)(void* context, int64_t index, int32_t worker);
void parallel_for(int64_t count, int32_t threads, parallel_task task, void* context);

template <class F>
void parallel_for(int64_t count, int32_t threads, F&& body) {
  parallel_for(
      count, threads, [](void* context, int64_t index, int32_t worker) { (*static_cast<F*>(context))(index, worker); }, &body);
}

// OMP_NUM_THREADS and threadpoolctl's limits, CPU affinity and cgroup quota.
int32_t default_threads();

const char* threading_name();

}  // namespace sepconv
