// What a convolution is, after validation: sizes, strides and padding as numbers. Every product that the kernels will form has been
// checked for overflow here.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "sepconv/sepconv.h"

namespace sepconv {

using pair = std::array<int64_t, 2>;  // height, width
using quad = std::array<int64_t, 4>;  // batch, height, width, channels

struct geometry {
  sepconv_op op;
  sepconv_dtype dtype;
  quad input, output;  // shapes
  quad input_step, output_step;  // strides, in elements
  pair kernel, stride, dilation, pad_before;
  int64_t multiplier;
  int64_t depth;    // channels * multiplier
  sepconv_activation depthwise_activation, activation;
  bool pairs;       // products are those of bfloat16

  int64_t batch() const { return input[0]; }
  int64_t channels() const { return input[3]; }
  int64_t filters() const { return output[3]; }
  int64_t taps;            // of the kernel
  int64_t image_pixels;    // of one output image
  int64_t pixels;          // of the whole output
  bool multiplies() const { return op != SEPCONV_DEPTHWISE; }
};

// Throws `error` naming the field of the spec, what is allowed and what was received.
geometry make_geometry(const sepconv_spec& spec);

double flops(const geometry& g);
double bytes(const geometry& g);
ptrdiff_t input_end(const geometry& g);         // elements from the input to the end of its last one in memory
std::size_t element_size(sepconv_dtype dtype);  // of storage
sepconv_dtype sum_dtype(sepconv_dtype dtype);   // of sums, and of weights
std::size_t sum_size(sepconv_dtype dtype);
bool stores_sums(int32_t dtype);                // whether storage has the type of sums

// Whether what lies `step` elements of `size` bytes apart competes for few sets of L1 and L2: a multiple of `period` bytes, a power of two.
inline bool crowds(ptrdiff_t step, std::size_t size, std::size_t period) { return step % static_cast<ptrdiff_t>(period / size) == 0; }

// How many pixels ahead of its stores a depthwise filter fetches their lines: none where pixels crowd, and those in use would go.
inline int64_t pixels_ahead(ptrdiff_t step, std::size_t size) { return crowds(step, size, 1024) ? 0 : 8; }

}  // namespace sepconv
