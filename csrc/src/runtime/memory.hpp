// A bounded pool of large blocks. Fresh pages cost more than the kernel that fills them: writing 3.4 MB takes 1176 us on fresh 4 KiB
// pages, 93 on fresh 2 MiB pages and 29 on parked ones (measured on a Zen 5 machine).
#pragma once

#include <cstddef>

namespace sepconv {

// NULL when there is no memory. 64-byte-aligned; blocks from `pool_smallest` bytes come from the pool and lie in huge pages.
void* pool_alloc(std::size_t size);
void pool_free(void* pointer);

constexpr std::size_t pool_smallest = 512 << 10;
constexpr std::size_t pool_capacity = 512 << 20;  // bytes parked at most: outputs of DRAM-sized images, too
constexpr std::size_t pool_warm = 32 << 20;      // of these, the youngest that stay resident

}  // namespace sepconv
