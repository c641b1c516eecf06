// The pool of large blocks: alignment, reuse, bounds, threads.
#include "runtime/memory.hpp"

#include <thread>

#include "support.hpp"

using namespace test;

namespace {

bool aligned(const void* p, std::size_t to) { return reinterpret_cast<std::uintptr_t>(p) % to == 0; }

}  // namespace

TEST(memory, blocks_are_aligned_and_whole) {
  for (std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{63}, std::size_t{64}, std::size_t{65}, std::size_t{4096},
                           sepconv::pool_smallest - 1, sepconv::pool_smallest, sepconv::pool_smallest + 1, std::size_t{5} << 20}) {
    unsigned char* p = static_cast<unsigned char*>(sepconv::pool_alloc(size));
    ASSERT_NE(p, nullptr);
    EXPECT_TRUE(aligned(p, 64)) << size;
    std::memset(p, 0x5a, size);
    for (std::size_t i = 0; i < size; i += 997) ASSERT_EQ(p[i], 0x5a);
    sepconv::pool_free(p);
  }
}

TEST(memory, live_blocks_do_not_overlap) {
  std::vector<unsigned char*> blocks;
  const std::size_t size = sepconv::pool_smallest + 100;
  for (int i = 0; i < 40; ++i) {
    blocks.push_back(static_cast<unsigned char*>(sepconv::pool_alloc(size)));
    ASSERT_NE(blocks.back(), nullptr);
    std::memset(blocks.back(), i, size);
  }
  for (int i = 0; i < 40; ++i)
    for (std::size_t at = 0; at < size; at += 4093) ASSERT_EQ(blocks[static_cast<std::size_t>(i)][at], i);
  for (unsigned char* p : blocks) sepconv::pool_free(p);
}

// `y = f(x)` in a loop: the block that was given back comes again.
TEST(memory, a_parked_block_serves_the_next_request_of_its_size) {
  const std::size_t size = 3 << 20;
  void* first = sepconv::pool_alloc(size);
  sepconv::pool_free(first);
  void* second = sepconv::pool_alloc(size);
  EXPECT_EQ(second, first);
  void* third = sepconv::pool_alloc(size);
  EXPECT_NE(third, second);
  sepconv::pool_free(second);
  sepconv::pool_free(third);
}

TEST(memory, sizes_that_cannot_be_are_null) {
  EXPECT_EQ(sepconv::pool_alloc(SIZE_MAX), nullptr);
  EXPECT_EQ(sepconv::pool_alloc(static_cast<std::size_t>(PTRDIFF_MAX)), nullptr);
  EXPECT_EQ(sepconv::pool_alloc(std::size_t{1} << 60), nullptr);  // no machine maps that much
  sepconv::pool_free(nullptr);
  sepconv_free(nullptr);
}

TEST(memory, what_is_too_large_to_park_is_returned) {
  for (int i = 0; i < 3; ++i) {
    void* p = sepconv::pool_alloc(sepconv::pool_capacity + 1);
    ASSERT_NE(p, nullptr);
    static_cast<char*>(p)[0] = 1;
    sepconv::pool_free(p);
  }
}

// More blocks, and more bytes, than the pool parks.
TEST(memory, parking_is_bounded) {
  for (std::size_t size : {sepconv::pool_smallest, std::size_t{20} << 20}) {
    std::vector<void*> blocks;
    for (int i = 0; i < 24; ++i) blocks.push_back(sepconv::pool_alloc(size));
    for (void* p : blocks) {
      ASSERT_NE(p, nullptr);
      sepconv::pool_free(p);
    }
  }
}

TEST(memory, threads_share_it) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([t] {
      generator r(static_cast<uint64_t>(t));
      const int64_t rounds = sample(400);
      for (int64_t i = 0; i < rounds; ++i) {
        const std::size_t size = static_cast<std::size_t>(r.one_in(2) ? r.between(1, 5000) : r.between(1, 4) << 20);
        unsigned char* p = static_cast<unsigned char*>(sepconv_alloc(size));
        ASSERT_NE(p, nullptr);
        p[0] = p[size - 1] = static_cast<unsigned char>(t);
        ASSERT_EQ(p[0], t);
        ASSERT_EQ(p[size - 1], t);
        sepconv_free(p);
      }
    });
  for (std::thread& t : threads) t.join();
}
