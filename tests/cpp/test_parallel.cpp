// parallel_for: each index once, workers numbered, serial where it must be, alive after fork.
#include "runtime/parallel.hpp"

#include <sys/wait.h>

#include <atomic>
#include <thread>

#include "runtime/float_modes.hpp"
#include "support.hpp"

using sepconv::parallel_for;

TEST(parallel, each_index_once_on_numbered_workers) {
  for (int32_t threads : {1, 2, 3, 4, 7, 8, 16, 64})
    for (int64_t count : {0, 1, 2, 7, 64, 1000}) {
      std::vector<std::atomic<int>> seen(static_cast<std::size_t>(count));
      std::atomic<int> wrong{0};
      parallel_for(count, threads, [&](int64_t index, int32_t worker) {
        ++seen[static_cast<std::size_t>(index)];
        if (worker < 0 || worker >= std::min<int64_t>(threads, count)) ++wrong;
      });
      EXPECT_EQ(wrong, 0);
      for (const std::atomic<int>& n : seen) EXPECT_EQ(n, 1);
    }
}

// Scratch is told apart by worker: two tasks of one number never run at the same time.
TEST(parallel, a_worker_does_one_task_at_a_time) {
  std::atomic<int> busy[8] = {};
  std::atomic<int> clashes{0};
  for (int round = 0; round < 20; ++round)
    parallel_for(200, 8, [&](int64_t, int32_t worker) {
      if (busy[worker].exchange(1)) ++clashes;
      std::this_thread::yield();
      busy[worker] = 0;
    });
  EXPECT_EQ(clashes, 0);
}

TEST(parallel, nested_regions_are_serial) {
  std::atomic<int> done{0}, others{0};
  parallel_for(4, 4, [&](int64_t, int32_t) {
    const std::thread::id own = std::this_thread::get_id();
    parallel_for(8, 4, [&](int64_t, int32_t worker) {
      ++done;
      if (std::this_thread::get_id() != own || worker != 0) ++others;
    });
  });
  EXPECT_EQ(done, 32);
  EXPECT_EQ(others, 0);
}

TEST(parallel, many_callers_at_once) {
  std::atomic<int64_t> sum{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < 6; ++t)
    callers.emplace_back([&] {
      for (int round = 0; round < 30; ++round) parallel_for(50, 3, [&](int64_t index, int32_t) { sum += index; });
    });
  for (std::thread& t : callers) t.join();
  EXPECT_EQ(sum, 6 * 30 * (49 * 50 / 2));
}

#if defined(__x86_64__)
TEST(parallel, workers_have_default_float_modes_and_the_caller_keeps_its_own) {
  for (int32_t threads : {1, 4}) {
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040);
    const unsigned set = _mm_getcsr();
    std::atomic<int> flushed{0};
    parallel_for(64, threads, [&](int64_t, int32_t) {
      if (_mm_getcsr() & 0x8040) ++flushed;
    });
    EXPECT_EQ(_mm_getcsr(), set);
    _mm_setcsr(before);
    EXPECT_EQ(flushed, 0);
  }
}
#endif

TEST(parallel, default_threads_are_at_least_one) {
  EXPECT_GE(sepconv::default_threads(), 1);
  EXPECT_EQ(sepconv::default_threads(), sepconv_default_threads());
  const std::string name = sepconv::threading_name();
  EXPECT_TRUE(name == "openmp" || name == "threads" || name == "serial") << name;
}

#if defined(__SANITIZE_THREAD__)
// A child of a process with threads may not start more under this sanitizer.
#else
TEST(parallel, a_child_of_fork_computes) {
  const auto total = [] {
    std::atomic<int64_t> sum{0};
    parallel_for(100, 4, [&](int64_t index, int32_t) { sum += index; });
    return sum.load();
  };
  for (int round = 0; round < 5; ++round) {
    ASSERT_EQ(total(), 4950);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      alarm(20);  // a child that hangs ends
      _exit(total() == 4950 ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "round " << round << ", status " << status;
    ASSERT_EQ(total(), 4950);
  }
}
#endif
