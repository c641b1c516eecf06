// float16 <-> float32 by integers, for a baseline without the instructions. Rounds to nearest even, as the instructions do.
#pragma once

namespace sepconv {
namespace SEPCONV_ISA {

SEPCONV_INLINE float half_to_float(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16;
  const uint32_t rest = h & 0x7fffu;
  uint32_t out;
  if (rest >= 0x7c00u) {
    out = sign | 0x7f800000u | (rest & 0x3ffu) << 13 | (rest > 0x7c00u ? 0x400000u : 0u);
  } else if (rest >= 0x400u) {
    out = sign | ((rest << 13) + (112u << 23));
  } else {  // denormal: rest * 2^-24, exact in float32
    const float value = static_cast<float>(rest) * 0x1p-24f;
    __builtin_memcpy(&out, &value, 4);
    out |= sign;
  }
  float value;
  __builtin_memcpy(&value, &out, 4);
  return value;
}

SEPCONV_INLINE uint16_t float_to_half(float x) {
  uint32_t u;
  __builtin_memcpy(&u, &x, 4);
  const uint32_t sign = u >> 16 & 0x8000u;
  u &= 0x7fffffffu;
  if (u > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u | (u >> 13 & 0x3ffu));
  if (u >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // 65520 and above round to infinity
  if (u < 0x38800000u) {  // below 2^-14: the sum's rounding places the bits of the denormal
    float value;
    __builtin_memcpy(&value, &u, 4);
    value += 0.5f;
    __builtin_memcpy(&u, &value, 4);
    return static_cast<uint16_t>(sign | (u - 0x3f000000u));
  }
  u += 0xfffu + (u >> 13 & 1u);
  return static_cast<uint16_t>(sign | ((u - (112u << 23)) >> 13));
}

SEPCONV_INLINE vec<float> widen_half(const half* p) {
  vec<float> x;
  for (int i = 0; i < lanes<float>; ++i) x[i] = half_to_float(p[i].bits);
  return x;
}

SEPCONV_INLINE void narrow_half(half* p, vec<float> x) {
  for (int i = 0; i < lanes<float>; ++i) p[i].bits = float_to_half(x[i]);
}

}  // namespace SEPCONV_ISA
}  // namespace sepconv
