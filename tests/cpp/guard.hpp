// Memory whose ends touch pages that fault: the first byte read or written outside ends the test.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <new>

namespace test {

// Which end of the buffer touches a faulting page to the byte. The other end has it within a page, and a pattern in between.
enum class flush { front, back };

class guarded {
 public:
  guarded(std::size_t size, flush side) : size_(size) {
    const std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    room_ = (size + page - 1) / page * page;
    mapped_ = room_ + 2 * page;
    map_ = static_cast<unsigned char*>(mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (map_ == MAP_FAILED) throw std::bad_alloc();
    begin_ = map_ + page;
    if (room_ && mprotect(begin_, room_, PROT_READ | PROT_WRITE)) throw std::bad_alloc();
    data_ = side == flush::front ? begin_ : begin_ + room_ - size;
    if (room_) std::memset(begin_, pattern, room_);  // as float: a number; as nothing else that a kernel would write
  }
  ~guarded() { munmap(map_, mapped_); }
  guarded(const guarded&) = delete;
  guarded& operator=(const guarded&) = delete;

  void* get() const { return data_; }
  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }
  std::size_t size() const { return size_; }
  void fill(int byte) { std::memset(data_, byte, size_); }
  void read_only() {
    if (room_) mprotect(begin_, room_, PROT_READ);
  }

  // Nothing was written between the buffer and the far guard page.
  bool intact() const {
    for (const unsigned char* p = begin_; p < data_; ++p)
      if (*p != pattern) return false;
    for (const unsigned char* p = data_ + size_; p < begin_ + room_; ++p)
      if (*p != pattern) return false;
    return true;
  }

  static constexpr unsigned char pattern = 0xa5;

 private:
  std::size_t size_, room_, mapped_;
  unsigned char *map_, *begin_, *data_;
};

}  // namespace test
