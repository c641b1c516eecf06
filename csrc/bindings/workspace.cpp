#include "workspace.hpp"

#include <mutex>
#include <vector>

namespace sepconv_python {
namespace {

// Scratch of running calls: a free list that only grows, up to a bound.
class workspaces {
 public:
  std::unique_ptr<sepconv::buffer> take(std::size_t size) {
    {
      const std::lock_guard<std::mutex> guard(lock_);
      for (std::size_t i = parked_.size(); i-- > 0;)
        if (parked_[i]->size() >= size) {
          std::unique_ptr<sepconv::buffer> found = std::move(parked_[i]);
          parked_.erase(parked_.begin() + static_cast<std::ptrdiff_t>(i));
          bytes_ -= found->size();
          return found;
        }
    }
    return std::make_unique<sepconv::buffer>(size);
  }

  void give(std::unique_ptr<sepconv::buffer> buffer) noexcept {
    const std::lock_guard<std::mutex> guard(lock_);
    if (bytes_ + buffer->size() > capacity) return;
    try {
      const std::size_t size = buffer->size();
      parked_.push_back(std::move(buffer));
      bytes_ += size;
    } catch (const std::bad_alloc&) {  // then it is freed instead
    }
  }

 private:
  static constexpr std::size_t capacity = 16 << 20;
  std::mutex lock_;
  std::vector<std::unique_ptr<sepconv::buffer>> parked_;
  std::size_t bytes_ = 0;
};

// Never destroyed: threads may still run while the interpreter exits.
workspaces& free_list() {
  static workspaces* list = new workspaces;
  return *list;
}

}  // namespace

workspace::workspace(std::size_t size) : buffer_(size ? free_list().take(size) : nullptr) {}

workspace::~workspace() {
  if (buffer_) free_list().give(std::move(buffer_));
}

}  // namespace sepconv_python
