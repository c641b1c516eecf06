// Size arithmetic that cannot wrap: every product and sum of sizes in plan/, pack/ and op/ that depends on arguments goes through
// here. The error names what was computed.
#pragma once

#include <cstddef>
#include <cstdint>

#include "plan/error.hpp"

namespace sepconv {

template <class T>
[[noreturn]] void too_large(T a, const char* sign, T b, const char* what) {
  invalid(std::string("`") + what + "` is too large: sizes must stay below 2^63. Received: " + std::to_string(a) + sign +
          std::to_string(b));
}

template <class T>
T checked_mul(T a, T b, const char* what) {
  T out;
  if (__builtin_mul_overflow(a, b, &out)) too_large(a, " times ", b, what);
  return out;
}

template <class T>
T checked_add(T a, T b, const char* what) {
  T out;
  if (__builtin_add_overflow(a, b, &out)) too_large(a, " plus ", b, what);
  return out;
}

template <class T, class... Rest>
T checked_mul(T a, T b, const char* what, T c, Rest... rest) {
  return checked_mul(checked_mul(a, b, what), c, what, rest...);
}

// a / b rounded up and rounded down; b > 0.
inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -ceil_div(-a, b); }

}  // namespace sepconv
