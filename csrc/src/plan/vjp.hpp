// How the gradients of a convolution are cut: a pure function of geometry (and of threads and cache for nothing that changes a bit).
//
//   group  the channels that a task takes: up to four blocks, or eight of a bare convolution (make_vjp)
//   slab   a range of output rows (of columns where there is one row only) of one image; its weights' share is summed here, and the
//          part of the input that it owns gets its gradient here, from all outputs that reach it
//   chunk  at most 128 pixels of a slab: sums over pixels are chains over a chunk, added in order
//   part   a range of slabs whose sums are added in order; then the parts are. One, unless groups are few
#pragma once

#include <vector>

#include "kernels/kernel_types.hpp"
#include "plan/geometry.hpp"

namespace sepconv {

enum class derivative_source { none, output, argument };

// What the derivative of an activation is computed from.
derivative_source source_of(const sepconv_activation& a);

// The input positions first, first + stride, ... of an axis. All see the same taps: tap, tap + tap_step, ... They lie `dilation` outputs
// apart, so that the gradient is a filter without stride over output gradients, with these taps reversed and padding `pad`.
struct phase {
  int64_t first, count;
  int64_t tap, taps, tap_step;
  int64_t pad;
  int64_t before;  // taps of the phases before
};

struct range {
  int64_t first, last;
};

struct slab {
  int64_t image;
  range own, needed;  // outputs along the axis: whose weights' sums, and whose gradients this slab makes
  range input;        // inputs along the axis that it owns
  range seen;         // inputs along the axis that `needed` reads
};

// A region of the workspace, in bytes.
struct region {
  std::size_t at, size;
};

}  // namespace sepconv

struct sepconv_vjp {
  sepconv::geometry geometry;
  const sepconv::kernel_table* table;
  const sepconv::kernel_set *storage, *sums;  // the kernels of the storage type, and those of sums
  int32_t wanted, threads;
  sepconv::quad gradient_step;  // of the input's gradient
  sepconv::derivative_source middle, last;

  int axis;
  int64_t repeats;               // few channels: each stands once for every filter of its own, so that there is one filter a channel
  int64_t channels, multiplier;  // with repeats
  int64_t block, width, groups;  // channels of a block, of a group
  int64_t slab_size, slabs;     // of an image
  int64_t units, parts;         // slabs of all images
  int64_t chunk;
  bool alone;                    // one group: it masks the output gradient itself, a chunk at a time
  int64_t filter_blocks, pitch;  // of the masked output gradient [block][pixel][filter]
  int64_t mask_chunks;
  std::vector<sepconv::phase> phases[2];
  sepconv::pair phase_dilation;

  // Shared: weights in the order of the gather, the same reversed by phases; masked output gradient (of a worker, where a group is alone),
  // its sums by chunk; sums of parts after the first
  sepconv::region blocked, blocked_bias, reversed, zeros, masked, mask_sums, partial;
  std::size_t part_size, part_depthwise_bias, part_pointwise, part_bias;  // of a part: bytes, and where its arrays begin
  // Of a worker: transposed pointwise panels of a group, packed input, depthwise rows before and after their activation, gradients of rows,
  // a tile and what is added to it, sums of a chunk and of a part (taps, then biases), pixels on their way through a transpose
  sepconv::region panels, rows_in, before, rows, gradients, tile, second, sums_of_chunk, sums_of_part, lines;
  std::size_t worker_at, worker_size, workspace_size;

  bool wants(int32_t what) const { return (wanted & what) != 0; }
  bool needs_row_gradients() const {
    return wants(SEPCONV_GRADIENT_INPUT | SEPCONV_GRADIENT_DEPTHWISE_KERNEL | SEPCONV_GRADIENT_DEPTHWISE_BIAS) ||
           (wants(SEPCONV_GRADIENT_BIAS) && !geometry.multiplies());
  }
  bool needs_rows() const {
    return wants(SEPCONV_GRADIENT_POINTWISE_KERNEL) || (needs_row_gradients() && middle != sepconv::derivative_source::none);
  }
};

namespace sepconv {

sepconv_vjp make_vjp(const sepconv_spec& spec, int32_t wanted, const int64_t* gradient_strides);

slab slab_of(const sepconv_vjp& v, int64_t unit);

// Whether kernels read the group of channels from `channel` on where the input lies; else it is packed.
bool reads_directly(const sepconv_vjp& v, int64_t channel);

// The same of the output gradient, where it is that of the depthwise rows.
bool reads_gradient_directly(const sepconv_vjp& v, int64_t channel);

// The rows of a 1x1 convolution without stride are its input, whose gradient is theirs: whether both steps do without copies.
bool rows_are_input(const sepconv_vjp& v, int64_t channel);
bool row_gradients_are_inputs(const sepconv_vjp& v, int64_t channel);

// Where the taps of the phases y and x begin among the reversed weights, [multiplier][block][tap][channel] one phase after the other.
inline int64_t reversed_at(const sepconv_vjp& v, const phase& y, const phase& x) {
  return (y.before * v.geometry.kernel[1] + y.taps * x.before) * v.groups * v.width * v.multiplier;  // fits: in the workspace
}

}  // namespace sepconv
