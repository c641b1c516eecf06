// What kernels and their callers share: plain data, the same for every instruction set. No inline functions may live here: the
// linker keeps one copy of each, perhaps one with instructions that this machine lacks.
//
// Storage S is the element type of input and output (float, double, half, bfloat); T is the type of sums (float or double).
// Strides count elements.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace sepconv {

struct half {
  uint16_t bits;
};

struct bfloat {
  uint16_t bits;
};

// Values k and k + 1 of a sum over k, as VDPBF16PS takes them.
struct bfloat_pair {
  bfloat even, odd;
};

// Channels of a block: one cache line of T. Depthwise weights and blocked scratch rows come in blocks.
template <class T>
constexpr int block_channels = 64 / static_cast<int>(sizeof(T));

// What the taps of output pixels read of an image whose channels lie next to one another.
struct tap_geometry {
  const void* input;  // T, pixel (0, 0), first channel
  ptrdiff_t input_row, input_column;
  int64_t input_height, input_width;
  int64_t kernel_height, kernel_width;
  int64_t stride_height, stride_width;
  int64_t dilation_height, dilation_width;
  int64_t pad_top, pad_left;
  int64_t output_width;
  int64_t first, last;  // output pixels of this image in raster order
  int64_t channels;
};

// Bias and clamp finish in registers; lo = -inf and hi = +inf leave values alone.
struct filter_channels_args : tap_geometry {
  const void* weights;  // T [block][tap][channel]
  const void* bias;     // T [block][channel]
  double lo, hi;
  void* output;  // T, pixel `first`, first channel
  ptrdiff_t output_block, output_pixel;
  bool output_padded;  // whole blocks of channels may be written
  int64_t pixels_ahead;  // the lines of outputs so many pixels on are fetched: what a full block stores into, where it is far away
  bool fetches_input;  // a block of outputs fetches what the next one is the first to read: where the input is far away
  const void* end;     // T, of the array that the image is part of, or null: a vector is read beyond a pixel's channels only before it
};

struct filter_line_args {
  const void* input;         // T
  const ptrdiff_t* offsets;  // of each tap's first element from `input`
  const void* weights;       // T, one each tap
  int64_t taps;
  double bias, lo, hi;
  void* output;  // T
  int64_t count;
};

// A dense square filter without stride or dilation, over a padded plane of one channel.
struct filter_plane_args {
  const void* input;    // T, what the first tap of the first output reads
  ptrdiff_t pitch;      // between rows of the plane; a vector may be read beyond the last value that counts
  const void* weights;  // T, [row][column]
  double bias, lo, hi;
  void* output;  // T
  ptrdiff_t output_row;
  int64_t rows, count;  // outputs, and of each row
};

struct multiply_args {
  const void* broadcast;     // the operand of which single elements, or pairs, are read; rows of the micro-tile
  const void* lanes;         // the operand of which vectors are read; columns
  const void* bias;          // T, one each filter
  ptrdiff_t row_step;        // between rows of the broadcast operand's blocks: a block, unless the kernels step over rows
  ptrdiff_t block_step;      // between blocks of the broadcast operand; where it is planar, between values of k
  ptrdiff_t lane_step;       // between values of k of the lane operand
  int64_t passes;            // the multiplier: each pass runs over all channels; like all counts here at least 1
  int64_t blocks;            // of a pass
  int64_t last_block;        // values of k in the last block of a pass
  double lo, hi;
  void* output;              // T
  ptrdiff_t output_row;
  int64_t last_lanes;  // of each row's last vector, that are stored: all, unless the kernels store parts
  const void* ahead;   // what to fetch into L2 meanwhile, so many cache lines a block
  int64_t ahead_lines;
  ptrdiff_t output_ahead;  // elements from what is stored to what will be, and is fetched by kernels of the largest tiles
  int64_t panels;      // of columns, one after the other, as their operands and outputs are
  int64_t groups;      // of rows likewise, each times all panels, by kernels that take them; 0 is 1
};

// Pixels of T in blocks of channels, with the steps between blocks and between pixels. Whole blocks are read.
struct blocked_pixels {
  const void* data;
  ptrdiff_t block, pixel;
};

// sums[row][column] = sum over pixels of rows(pixel, row) * columns(pixel, column), stored or added to the output.
struct outer_args {
  blocked_pixels rows, columns;
  int64_t pixels, rows_count, columns_count;
  bool add;
  void* output;  // T
  ptrdiff_t output_row;
};

// output[pixel][channel] = gradient where `of` > lo and not >= hi (NaN: no bound), else 0; and its sums over pixels, added to `sums`. Output
// and sums come in whole blocks; what channels leave of the last one becomes 0.
struct mask_args {
  const void* gradient;  // S, of the first pixel and channel
  const void* of;        // S, likewise; null: gradient everywhere
  ptrdiff_t pixel;       // of both
  int64_t pixels, channels;
  double lo, hi;
  void* output;  // T
  ptrdiff_t output_block, output_pixel;
  void* sums;  // T, one each channel
};

// Rows of outputs that lie as [pixel][channel][multiplier], from lines of inputs that lie as [pixel][channel]. A vector may be read beyond the
// last input that counts.
struct filter_outputs_args {
  const void* input;         // T, what the first tap of the first output reads
  const ptrdiff_t* offsets;  // of each tap's first element from `input`
  int64_t taps;
  const void* weights;  // T [tap][channel][multiplier], each tap followed by a block that repeats it from its beginning
  ptrdiff_t weights_row;
  const void* bias;  // T [channel][multiplier], likewise
  int64_t channels, multiplier;
  double lo, hi;
  ptrdiff_t input_pixel, input_row;  // steps of the input between pixels and rows of the output
  void* output;                      // T
  ptrdiff_t output_row;
  int64_t rows, count;  // and pixels of each row
  bool patch;           // taps are 3x3, their rows one row of outputs apart
};

// `channels` is a multiple of a block.
struct filter_gradient_args : tap_geometry {
  const void* gradient;  // T, of pixel `first`, first channel
  ptrdiff_t gradient_pixel;
  void* sums;  // T [block][tap][channel], of this chunk
};

// The name of a storage type and what computes on it.
typedef void (*filter_channels_fn)(const filter_channels_args*);
typedef void (*filter_line_fn)(const filter_line_args*);
typedef void (*filter_plane_fn)(const filter_plane_args*);
typedef void (*filter_outputs_fn)(const filter_outputs_args*);
typedef void (*multiply_fn)(const multiply_args*);
// target[r * target_row + i] = source[r * source_row + i * step], widened to T
typedef void (*copy_lines_fn)(const void* source, ptrdiff_t source_row, ptrdiff_t step, int64_t rows, int64_t count, void* target,
                              ptrdiff_t target_row);
// target[r * target_row + c * target_column] = source[r * source_row + c], narrowed to S
typedef void (*store_tile_fn)(const void* source, ptrdiff_t source_row, int64_t rows, int64_t columns, void* target,
                              ptrdiff_t target_row, ptrdiff_t target_column);
// data[r * row + i] in place, on T; `kind` and `params` are those of sepconv_activation
typedef void (*activate_fn)(int32_t kind, const double* params, void* data, ptrdiff_t row, int64_t rows, int64_t count);
// gradient[i] *= derivative, on T; `of` is the activation's output or argument, as derive.hpp says
typedef void (*derive_fn)(int32_t kind, const double* params, const void* of, void* gradient, size_t count);
// in place, on T; `kind` is a sepconv_row_activation
typedef void (*activate_rows_fn)(int32_t kind, void* data, int64_t rows, int64_t columns);
typedef void (*derive_rows_fn)(int32_t kind, const void* output, void* gradient, int64_t rows, int64_t columns);
typedef void (*outer_fn)(const outer_args*);
// Blocks of `count` pixels of float, of which `channels` count, to blocks of the operand, or to halves of blocks where it is packed
typedef void (*pair_blocks_fn)(const void* source, int64_t count, int64_t channels, void* target);
// Planes of two channels, the odd one perhaps null, to one plane of pairs, or to two `step` apart
typedef void (*pair_planes_fn)(const void* even, const void* odd, int64_t count, void* target, ptrdiff_t step);
typedef void (*mask_fn)(const mask_args*);
typedef void (*filter_gradient_fn)(const filter_gradient_args*);
// target[c] = sum over pixels of source[pixel * step + c], on T; `count` is a multiple of a vector
typedef void (*sum_pixels_fn)(const void* source, ptrdiff_t step, int64_t pixels, int64_t count, void* target);
// target[i] += source[i], on T
typedef void (*accumulate_fn)(const void* source, int64_t count, void* target);

constexpr int max_rows = 14;    // of a micro-tile
constexpr int max_vectors = 4;  // columns of a micro-tile, in vectors
constexpr int max_plane = 5;    // taps of an axis of filter_plane

// The micro-kernels of one kind of product, by [rows][vectors] of the micro-tile. A null entry is a shape that is not used.
struct multiply_set {
  int32_t lanes;                                        // of a vector of T
  int32_t filters_rows, filters_vectors, filters_sums;  // the most of `filters` and `planar`: pixels, filter vectors, both
  int32_t pixels_rows, pixels_vectors, pixels_sums;     // the most of `pixels`: filters, pixel vectors, both
  multiply_fn filters[max_rows + 1][max_vectors + 1];  // pixels in blocks, [K / block][pixel][block]
  multiply_fn planar[max_rows + 1][max_vectors + 1];   // pixels in planes, [K][pixel]
  multiply_fn pixels[max_rows + 1][max_vectors + 1];
  int32_t grouped_rows;  // from so many rows on, those of `filters` take groups of them
  bool stores_parts;     // they store any number of columns
  bool steps_over_rows;  // `filters` takes any row_step
};

// Those of bfloat16, and what makes their operands of rows of float. Either two values of k are one element (bfloat_pair), or each is a
// float, the odd one of a pair first, and denormals are zero.
struct pair_set : multiply_set {
  bool packed;
  pair_blocks_fn pair_blocks;
  pair_planes_fn pair_planes;
};

// The kernels of one instruction set and storage type; its products are those of T.
struct kernel_set : multiply_set {
  filter_channels_fn filter_channels;
  filter_line_fn filter_line;
  filter_plane_fn filter_plane[max_plane + 1];  // by taps of an axis
  filter_outputs_fn filter_outputs;             // null where lanes can't be permuted
  copy_lines_fn copy_lines;
  store_tile_fn store_tile;
  store_tile_fn move_tile;  // T to T
  activate_fn activate;
  derive_fn derive;
  activate_rows_fn activate_rows;
  derive_rows_fn derive_rows;
  outer_fn outer;
  mask_fn mask;
  filter_gradient_fn filter_gradient;
  sum_pixels_fn sum_pixels;
  accumulate_fn accumulate;
};

// Multiply-adds in registers, `rounds` times; returns how many (the machine's peak is this over the time).
typedef double (*fma_loop_fn)(int64_t rounds);

struct kernel_table {
  const char* isa;
  const kernel_set* sets[4];  // by sepconv_dtype
  const pair_set* pairs;
  fma_loop_fn fma_loop;
};

}  // namespace sepconv
