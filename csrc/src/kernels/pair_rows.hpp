// Rows of float to operands of bfloat16: packed pairs, or floats with the odd one of a pair first.
#pragma once

#include "simd/simd.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

// The float that bfloat16 has for x; denormals are zero.
SEPCONV_INLINE vec<float> as_bfloat(vec<float> x) {
  const ivec<float> value = reinterpret_cast<ivec<float>>(rounded_to_bfloat(x) & 0xffff0000u);
  const ivec<float> normal = (value & 0x7f800000) != 0;
  return from_bits<float>(value & normal);
}

struct neighbours {
  template <class T>
  static constexpr int of(int k) {
    return k ^ 1;
  }
};

// The first n lanes of x, then zeros.
SEPCONV_INLINE vec<float> first(vec<float> x, int64_t n) {
  ivec<float> lane;
  for (int i = 0; i < lanes<float>; ++i) lane[i] = i;
  return select<float>(lane < static_cast<int32_t>(n), x, vec<float>{});
}

template <bool Packed>
static void pair_blocks(const void* source, int64_t count, int64_t channels, void* target) {
  constexpr int block = block_channels<float>;
  const float* x = static_cast<const float*>(source);
  for (int64_t i = 0; i < count; ++i, x += block)
    unroll<block / lanes<float>>::run([&](auto v) {
      constexpr int at = decltype(v)::value * lanes<float>;
      vec<float> value = load(x + at);
      if (channels < block) value = first(value, channels - at);
      if constexpr (Packed)
        store_as(static_cast<bfloat*>(target) + i * 2 * block + at, value);
      else
        store(static_cast<float*>(target) + i * block + at, as_bfloat(shuffle<float, neighbours>(value, value)));
    });
}

template <bool Packed>
static void pair_planes(const void* even, const void* odd, int64_t count, void* target, ptrdiff_t step) {
  const float *x = static_cast<const float*>(even), *y = static_cast<const float*>(odd);
  float* to = static_cast<float*>(target);
  for (int64_t i = 0; i < count; i += lanes<float>) {
    const int64_t n = count - i < lanes<float> ? count - i : lanes<float>;
    const vec<float> a = load_partial(x + i, n), b = y ? load_partial(y + i, n) : vec<float>{};
    if constexpr (Packed) {
      const uvec<float> pair = rounded_to_bfloat(a) >> 16 | (rounded_to_bfloat(b) & 0xffff0000u);
      store_partial(to + i, reinterpret_cast<vec<float>>(pair), n);
    } else {
      store_partial(to + i, as_bfloat(b), n);
      store_partial(to + step + i, as_bfloat(a), n);
    }
  }
}

}  // namespace SEPCONV_ISA
}  // namespace sepconv
