#include "runtime/memory.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>

namespace sepconv {
namespace {

constexpr std::size_t huge_page = 2 << 20;
constexpr int slots = 16;
constexpr std::size_t header = 64;  // bytes in front of what the caller gets: keeps 64-byte alignment, tells the kinds apart

struct block {
  void* base;        // of the mapping
  std::size_t size;  // of the mapping; 0: from the heap
  bool offered;      // parked, and the system may have its pages if it needs them
};

// Parked blocks, oldest first. A block serves a request of its own size: `y = f(x)` in a loop asks for the same one again and
// again, and two live at a time.
struct pool {
  std::mutex lock;
  block parked[slots];
  int count = 0;
  std::size_t bytes = 0;

  void* take(std::size_t size) {
    const std::lock_guard<std::mutex> guard(lock);
    for (int i = count - 1; i >= 0; --i)
      if (parked[i].size == size) return remove(i);
    return nullptr;
  }

  // Returns true when the block is parked; else the caller unmaps.
  bool park(const block& b) {
    if (b.size > pool_capacity) return false;
    const std::lock_guard<std::mutex> guard(lock);
    while (count == slots || bytes + b.size > pool_capacity) {
      const std::size_t size = parked[0].size;
      munmap(remove(0), size);
    }
    parked[count++] = b;
    bytes += b.size;
    offer();
    return true;
  }

 private:
  // To the system, all but the youngest: taking an offer back costs a tenth of a kernel's time, and a loop asks for those again.
  void offer() {
#if defined(MADV_FREE)
    std::size_t younger = 0;
    for (int i = count - 1; i >= 0; --i) {
      block& b = parked[i];
      younger += b.size;
      if (younger <= pool_warm || b.offered) continue;
      madvise(b.base, b.size, MADV_FREE);
      b.offered = true;
    }
#endif
  }

  void* remove(int i) {
    void* base = parked[i].base;
    bytes -= parked[i].size;
    for (--count; i < count; ++i) parked[i] = parked[i + 1];
    return base;
  }
};

// Never destroyed: arrays may outlive static destructors. In place, so that it can't fail.
pool& the_pool() {
  alignas(pool) static unsigned char place[sizeof(pool)];
  static pool* p = new (place) pool;
  return *p;
}

// 2 MiB-aligned, by mapping more and returning the ends.
void* map(std::size_t size) {
  const std::size_t room = size + huge_page;
  void* raw = mmap(nullptr, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  char* start = static_cast<char*>(raw);
  char* base = reinterpret_cast<char*>((reinterpret_cast<std::uintptr_t>(raw) + huge_page - 1) & ~std::uintptr_t{huge_page - 1});
  if (base != start) munmap(start, static_cast<std::size_t>(base - start));
  const std::size_t rest = room - size - static_cast<std::size_t>(base - start);
  if (rest) munmap(base + size, rest);
#if defined(MADV_HUGEPAGE)
  madvise(base, size, MADV_HUGEPAGE);
#endif
  return base;
}

}  // namespace

void* pool_alloc(std::size_t size) {
  if (size > PTRDIFF_MAX - 2 * huge_page - header) return nullptr;
  const bool pooled = size >= pool_smallest;
  const std::size_t room = pooled ? (size + header + huge_page - 1) & ~(huge_page - 1) : (size + header + 63) & ~std::size_t{63};
  void* base = pooled ? the_pool().take(room) : std::aligned_alloc(64, room);
  if (pooled && !base) base = map(room);
  if (!base) return nullptr;
  *static_cast<block*>(base) = {base, pooled ? room : 0, false};
  return static_cast<char*>(base) + header;
}

void pool_free(void* pointer) {
  if (!pointer) return;
  void* base = static_cast<char*>(pointer) - header;
  const block b = *static_cast<block*>(base);
  if (b.size == 0)
    std::free(base);
  else if (!the_pool().park(b))
    munmap(b.base, b.size);
}

}  // namespace sepconv
