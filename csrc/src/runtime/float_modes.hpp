// Default rounding and denormals while kernels run: a caller's flush-to-zero would make bits depend on the thread.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace sepconv {

class float_modes_guard {
 public:
#if defined(__x86_64__)
  float_modes_guard() : saved_(_mm_getcsr()) { _mm_setcsr(0x1f80); }  // the reset value: exceptions masked, nearest, no flushing
  ~float_modes_guard() { _mm_setcsr(saved_); }

 private:
  unsigned saved_;
#elif defined(__aarch64__)
  float_modes_guard() {
    asm volatile("mrs %0, fpcr" : "=r"(saved_));
    asm volatile("msr fpcr, %0" ::"r"(uint64_t{0}));
  }
  ~float_modes_guard() { asm volatile("msr fpcr, %0" ::"r"(saved_)); }

 private:
  uint64_t saved_;
#endif
 public:
  float_modes_guard(const float_modes_guard&) = delete;
  float_modes_guard& operator=(const float_modes_guard&) = delete;
};

}  // namespace sepconv
