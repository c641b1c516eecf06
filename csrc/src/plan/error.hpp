// The one exception of the library; api/ turns it into a status and a message.
#pragma once

#include <stdexcept>
#include <string>

#include "sepconv/sepconv.h"

namespace sepconv {

class error : public std::runtime_error {
 public:
  error(sepconv_status status, const std::string& message) : std::runtime_error(message), status_(status) {}
  sepconv_status status() const { return status_; }

 private:
  sepconv_status status_;
};

[[noreturn]] inline void invalid(const std::string& message) { throw error(SEPCONV_INVALID_ARGUMENT, message); }

}  // namespace sepconv
