// Case number i of the sweeps over whole operators: widths and channels step through all their values, the rest is drawn.
#pragma once

#include "run.hpp"

namespace test {

constexpr int64_t widest_block = 16;  // channels of a cache line of float: tails repeat from there on

// Strides of a dense array whose axes lie in the drawn order, with a gap after each. Channels stay innermost once in three.
inline void draw_strides(generator& r, const int64_t* shape, int64_t* stride) {
  int order[4] = {0, 1, 2, 3};
  const int movable = r.one_in(3) ? 3 : 4;
  for (int i = movable - 1; i > 0; --i) std::swap(order[i], order[r.between(0, i)]);
  int64_t step = movable == 3 || r.one_in(2) ? 1 : r.between(2, 3);
  for (int i = 3; i >= 0; --i) {
    stride[order[i]] = step;
    step = step * shape[order[i]] + (r.one_in(2) ? r.between(0, 5) : 0);
  }
}

inline sepconv_activation draw_clamp(generator& r) {
  sepconv_activation a = {};
  a.kind = r.one_in(3) ? static_cast<int32_t>(r.between(SEPCONV_RELU, SEPCONV_HARD_TANH)) : SEPCONV_LINEAR;
  return a;
}

inline sepconv_spec draw_case(int64_t i, uint64_t seed) {
  generator r(seed * 1000003 + static_cast<uint64_t>(i));
  static constexpr int64_t kernels[][2] = {{3, 3}, {3, 3}, {5, 5}, {1, 1}, {2, 2}, {4, 4}, {1, 5}, {3, 1}, {2, 3}, {7, 7}};
  sepconv_spec s = sepconv::make_spec();
  s.op = static_cast<int32_t>(i % 3);
  s.dtype = static_cast<int32_t>(i / 3 % 4);
  s.layout = static_cast<int32_t>(r.between(0, 2));
  s.padding = static_cast<int32_t>(r.between(0, 2));
  s.num_threads = 1;
  s.input_shape[0] = r.one_in(3) ? r.between(2, 3) : 1;
  s.input_shape[1] = r.between(1, 5);
  s.input_shape[2] = r.one_in(8) ? r.between(15, 40) : 1 + i % 9;
  s.input_shape[3] = r.one_in(4) ? r.between(1, 4) : 1 + i % (4 * widest_block + 1);
  const bool pointwise = s.op == SEPCONV_POINTWISE;
  const auto& kernel = r.pick(kernels);
  for (int a = 0; a < 2; ++a) {
    s.kernel[a] = pointwise ? 1 : kernel[a];
    s.stride[a] = r.one_in(2) ? 1 : r.between(1, 4);
    s.dilation[a] = r.one_in(2) ? 1 : r.between(1, 4);
  }
  s.multiplier = pointwise || !r.one_in(3) ? 1 : r.between(2, 8);
  if (s.multiplier > 1) s.input_shape[3] = (s.input_shape[3] - 1) % 20 + 1;
  s.filters = s.op == SEPCONV_DEPTHWISE ? 0 : r.one_in(4) ? r.between(1, 4) : r.between(1, 70);
  for (int a = 0; a < 2; ++a) {  // whatever is drawn has at least one output
    const int64_t reach = (s.kernel[a] - 1) * s.dilation[a] + 1, lacks = std::max<int64_t>(reach - s.input_shape[a + 1], 0);
    if (s.padding == SEPCONV_VALID && lacks) s.padding = SEPCONV_EXPLICIT;
    s.pad_before[a] = r.between(0, std::min<int64_t>(reach, 3));
    s.pad_after[a] = std::max<int64_t>(lacks - s.pad_before[a], 0) + r.between(0, 2);
  }
  if (s.op == SEPCONV_SEPARABLE) s.depthwise_activation = draw_clamp(r);
  s.activation = draw_clamp(r);
  if (s.layout == SEPCONV_STRIDED) {
    s.layout = SEPCONV_CHANNELS_LAST;
    const quad out = output_shape(s);
    s.layout = SEPCONV_STRIDED;
    draw_strides(r, s.input_shape, s.input_strides);
    draw_strides(r, out.data(), s.output_strides);
    for (int a = 0; a < 4; ++a)
      if (r.one_in(3)) s.input_strides[a] = -s.input_strides[a];
  }
  return s;
}

}  // namespace test
