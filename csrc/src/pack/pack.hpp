// Weights in the order that the kernels read, in the type of sums. The format depends on operator, type, precision, instruction set, lane
// role and channel counts, never on spatial size, batch or threads.
#pragma once

#include <cstddef>

#include "plan/plan.hpp"

struct sepconv_pack {
  int64_t key;  // pack_key of the plans that it serves
  int64_t channels, multiplier, filters, taps;
  // Depthwise weights for lanes over channels, [multiplier][block][tap][lane], and their bias, [multiplier][block][lane].
  void* blocked;
  void* blocked_bias;
  // The same for lanes over pixels, [multiplier * channels][tap] and [multiplier * channels].
  void* planar;
  void* planar_bias;
  // The same for lanes over outputs of a bare depthwise convolution, [tap][channel][multiplier] and [channel][multiplier], each row followed
  // by a block that repeats it from its beginning.
  void* outputs;
  void* outputs_bias;
  // Pointwise weights in panels. Lanes over filters: [panel][k][lane], the last panel as few vectors wide as hold its filters. Lanes
  // over pixels: [panel][k][row]. k runs over multiplier, then channel; see pair_set for bfloat16. The bias has a zero for each filter that
  // pads.
  void* panels;
  void* bias;
  void* memory;  // holds all of them
};

namespace sepconv {

// The weights of a convolution with the strides that its kernels have.
sepconv_weights with_strides(const sepconv_weights& weights, const geometry& g);

sepconv_pack* make_pack(const sepconv_plan& plan, const sepconv_weights& weights);
void destroy_pack(sepconv_pack* pack);

}  // namespace sepconv
