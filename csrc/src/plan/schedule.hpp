// How a convolution is cut into tiles: a pure function of geometry, micro-tile, cache sizes and threads.
//
// A tile is a range of output pixels in raster order over the whole batch; its patch matrix (one row of K values a pixel) lives in
// scratch. Layouts of scratch:
//   blocked  [K / block][pixel][block]   of a gather over channels
//   planar   [K][pixel]                  of a gather over pixels
// Where products are those of bfloat16, the same once more, of their operands;
// and for a bare depthwise convolution with lanes over channels or outputs the output's own, [pixel][channel].
//
#pragma once

#include "plan/geometry.hpp"

namespace sepconv {

struct multiply_set;
struct kernel_set;
struct pair_set;

enum class gather_lanes { channels, pixels, outputs };  // of the depthwise filter
enum class multiply_lanes { none, filters, pixels };
enum class split { pixels, filters };           // what threads share out

struct machine {
  std::size_t l1d_size, l2_size;
  int32_t threads;
};

struct schedule {
  gather_lanes gather;
  multiply_lanes multiply;
  split threads_split;
  bool direct;  // the depthwise filter writes the output itself
  bool flat;    // or leaves scratch as the output will be, [pixel][channel]
  bool reads_input;  // the multiply does, where it lies, of a 1x1 convolution: there is no gather
  bool turns;   // the gather over pixels has its lanes over channels after all: blocks of them are transposed on their way in and out
  bool copies_pixels;  // the gather does, of a 1x1 convolution whose channels lie apart
  bool copies_input;  // before a filter with lanes over channels, by groups of channels: 16-bit storage, crowded pixels, channels apart
  int32_t threads;
  int64_t tile_pixels, tiles;
  int64_t rows, columns;  // of the largest micro-tile, in elements
  // Elements of k that the micro-kernel takes, of a pass of the multiplier and of all: values, or packed pairs of c and c + 1. Pairs are
  // whole: a zero fills up the last.
  int64_t pass_steps, steps;
  bool fetches_input;       // the depthwise filter's, which comes from beyond L2
  int64_t pixels_ahead;     // and how far ahead what it stores into
  int64_t channel_group;    // channels that the depthwise filter takes at a time
  int64_t panels_together;  // of filters: while these are multiplied, as many that come next are fetched into L2
  // Workspace, in bytes: one shared part, then one part a worker.
  std::size_t shared_size, worker_size;
  // Parts of a worker's: patch matrix and what is multiplied of it if that is bfloat16 (unless shared), phase planes of one channel (or the
  // widened input of a group, or that of a block and its rows), its result at their pitch, a micro-tile, offsets of taps
  std::size_t scratch_size, pairs_size, planes_size, wide_size, tile_size, offsets_size;
  int64_t pitch;       // pixels from one block or plane of scratch to the next
  bool fetches_next;   // a multiply over filters fetches what the next tile reads of the input
  bool short_rows;     // the gather over pixels filters all rows of a tile in one run
};

// The micro-tile with lanes over filters: the most rows, or, of AVX2, whose two vectors would leave one alone, three vectors.
struct tile_shape {
  int64_t rows, vectors;
};

tile_shape filters_tile(const multiply_set& products, int64_t filters);

// Whether the depthwise filter may fetch what the next outputs read: not where pixels of a strided image crowd, and those in use would go.
bool may_fetch_ahead(const geometry& g);

// `pairs` where products are those of bfloat16.
schedule make_schedule(const geometry& g, const kernel_set& kernels, const machine& machine, const pair_set* pairs = nullptr);

std::size_t workspace_size(const schedule& s);

}  // namespace sepconv
