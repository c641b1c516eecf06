#include "runtime/parallel.hpp"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "runtime/float_modes.hpp"

#if defined(SEPCONV_BACKEND_OPENMP)
#include <omp.h>
#elif defined(SEPCONV_BACKEND_THREADS)
#include <vector>
#endif

namespace sepconv {
namespace {

// Each worker begins with a range of its own, the same at every call, so that it finds in its caches what it read or wrote last time; then
// it helps the others.
struct region {
  static constexpr int32_t most = 64;
  struct alignas(64) range {
    std::atomic<int64_t> next;
    int64_t end;
  };
  range ranges[most];
  int32_t count;
  parallel_task task;
  void* context;

  region(int64_t tasks, int32_t threads, parallel_task task_, void* context_)
      : count(std::clamp<int32_t>(threads, 1, most)), task(task_), context(context_) {
    for (int32_t i = 0; i < count; ++i) {
      ranges[i].next.store(tasks / count * i + tasks % count * i / count, std::memory_order_relaxed);
      ranges[i].end = tasks / count * (i + 1) + tasks % count * (i + 1) / count;
    }
  }

  void work(int32_t worker) {
    const float_modes_guard guard;
    for (int32_t i = 0; i < count; ++i) {
      range& r = ranges[(worker + i) % count];
      for (int64_t at; (at = r.next.fetch_add(1, std::memory_order_relaxed)) < r.end;) task(context, at, worker);
    }
  }
};

#if !defined(SEPCONV_BACKEND_OPENMP)
thread_local bool inside_region = false;
#endif

#if defined(__linux__)
// CPUs that the control group's quota pays for, or 0. Version 2, then version 1.
int cgroup_quota() {
  double quota = 0, period = 0;
  if (std::FILE* f = std::fopen("/sys/fs/cgroup/cpu.max", "re")) {
    if (std::fscanf(f, "%lf %lf", &quota, &period) != 2) quota = 0;  // "max 100000": no limit
    std::fclose(f);
  } else if (std::FILE* q = std::fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "re")) {
    if (std::FILE* p = std::fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "re")) {
      if (std::fscanf(q, "%lf", &quota) != 1 || std::fscanf(p, "%lf", &period) != 1) quota = 0;
      std::fclose(p);
    }
    std::fclose(q);
  }
  return quota > 0 && period > 0 ? std::max(1, static_cast<int>(quota / period + 0.5)) : 0;
}
#else
int cgroup_quota() { return 0; }
#endif

// What the environment allows; a user's OMP_NUM_THREADS wins over the quota, and is the back end's own to read.
int32_t machine_threads() {
  static const int32_t quota = std::getenv("OMP_NUM_THREADS") ? 0 : cgroup_quota();
#if defined(SEPCONV_BACKEND_OPENMP)
  const int32_t threads = omp_get_max_threads();
#else
  static const int32_t threads = [] {
    if (const char* limit = std::getenv("OMP_NUM_THREADS"))
      if (const int n = std::atoi(limit); n > 0) return n;
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  }();
#endif
  return quota > 0 ? std::min(quota, threads) : threads;
}

#if defined(SEPCONV_BACKEND_OPENMP)
// A child of fork() inherits a pool without its threads, and waits for them for ever. Releasing the pool before the fork leaves both
// sides to start afresh. Only when this thread may do so: inside a parallel region the child stays serial instead.
std::atomic<bool> pool_is_broken{false};

void before_fork() {
  if (omp_in_parallel() || omp_pause_resource_all(omp_pause_hard) != 0) pool_is_broken = true;
}

void after_fork_in_parent() { pool_is_broken = false; }

void watch_forks() {
  static const int registered = pthread_atfork(before_fork, after_fork_in_parent, nullptr);
  (void)registered;
}
#endif

}  // namespace

void parallel_for(int64_t count, int32_t threads, parallel_task task, void* context) {
  threads = static_cast<int32_t>(std::min<int64_t>(threads, count));
  region r(count, threads, task, context);
#if defined(SEPCONV_BACKEND_OPENMP)
  if (threads > 1 && !omp_in_parallel() && !pool_is_broken.load(std::memory_order_relaxed)) {
    watch_forks();
#pragma omp parallel num_threads(threads)
    r.work(omp_get_thread_num());
    return;
  }
#elif defined(SEPCONV_BACKEND_THREADS)
  if (threads > 1 && !inside_region) {
    std::vector<std::thread> pool;
    try {
      for (int32_t i = 1; i < threads; ++i)
        pool.emplace_back([&r, i] {
          inside_region = true;
          r.work(i);
        });
    } catch (...) {  // no more threads to be had: those that run share the work
    }
    inside_region = true;
    r.work(0);
    inside_region = false;
    for (std::thread& t : pool) t.join();
    return;
  }
#endif
  r.work(0);
}

int32_t default_threads() {
#if defined(SEPCONV_BACKEND_SERIAL)
  return 1;
#else
  return std::max(1, machine_threads());
#endif
}

const char* threading_name() {
#if defined(SEPCONV_BACKEND_OPENMP)
  return "openmp";
#elif defined(SEPCONV_BACKEND_THREADS)
  return "threads";
#else
  return "serial";
#endif
}

}  // namespace sepconv
