// The scratch of one running call.
#pragma once

#include <cstddef>
#include <memory>

#include "sepconv/sepconv.hpp"

namespace sepconv_python {

class workspace {
 public:
  explicit workspace(std::size_t size);
  ~workspace();
  void* get() const { return buffer_ ? buffer_->get() : nullptr; }

 private:
  std::unique_ptr<sepconv::buffer> buffer_;
};

}  // namespace sepconv_python
