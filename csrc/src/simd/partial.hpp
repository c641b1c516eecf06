// Loads and stores of the first n lanes where the instruction set has no masks.
#pragma once

namespace sepconv {
namespace SEPCONV_ISA {

template <class T>
SEPCONV_INLINE vec<T> load_partial(const T* p, int64_t n) {
  vec<T> x{};
  for (int64_t i = 0; i < n; ++i) x[i] = p[i];
  return x;
}

template <class T>
SEPCONV_INLINE void store_partial(T* p, vec<T> x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) p[i] = x[i];
}

}  // namespace SEPCONV_ISA
}  // namespace sepconv
