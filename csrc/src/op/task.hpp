// One run: what the loops over tiles share.
#pragma once

#include "pack/pack.hpp"
#include "plan/checked.hpp"
#include "plan/plan.hpp"

namespace sepconv {

// Bias and clamp that finish in registers, and the activation that does not.
struct finish {
  double lo, hi;
  bool pass;  // apply `activation` afterwards
};

struct task {
  const sepconv_plan* plan;
  const sepconv_pack* pack;
  const char* input;
  char* output;
  char* workspace;
  finish depthwise, last;
  const geometry& geo() const { return plan->geometry; }
  const schedule& sched() const { return plan->schedule; }
  const kernel_set& kernels() const { return *plan->kernels; }
  const kernel_set& sums() const { return *plan->table->sets[sum_dtype(plan->geometry.dtype)]; }
  const multiply_set& products() const { return *plan->products; }
};

// Scratch of one worker; the sizes are those of the schedule.
struct scratch {
  char* rows;     // patch matrix
  char* pairs;    // what the multiply reads: its operand in bfloat16, or itself
  char* planes;
  char* wide;
  char* tile;
  ptrdiff_t* offsets;
};

scratch scratch_of(const task& t, int32_t worker);

// Output pixels [first, last) in raster order over the batch.
struct pixel_range {
  int64_t first, last;
};

// The piece of a tile that lies in one image.
struct piece {
  int64_t image;
  int64_t first, last;  // pixels of the image
  int64_t at;           // of the tile, where it begins
};

// Pixels of a strided array of storage, into rows of sums: target[pixel * target_step + channel]. `lines` holds 64 pixels of all channels.
struct pixel_source {
  const char* first;  // of the first pixel, first channel
  ptrdiff_t pixel, channel;
};

template <class T>
void load_pixels(const kernel_set& storage, const kernel_set& sums, const pixel_source& from, int64_t pixels, int64_t channels, T* to,
                 ptrdiff_t step, T* lines);

template <class T>
void gather_turned(const task& t, const scratch& s, const piece& p, int64_t c0, int64_t c1);
template <class T>
void gather_channels(const task& t, const scratch& s, const piece& p, int64_t c0, int64_t c1);
template <class T>
void gather_pixels(const task& t, const scratch& s, const piece& p, int64_t c0, int64_t c1);
template <class T>
void gather_outputs(const task& t, const scratch& s, const piece& p);

// Depthwise rows of channels [c0, c1) (a multiple of a block apart) for the pixels: into s.rows, or straight into the output.
template <class T>
void gather(const task& t, const scratch& s, pixel_range pixels, int64_t c0, int64_t c1);

// Rows of channels [c0, c1), c0 a multiple of a block, to operands in bfloat16.
void pair_rows(const task& t, const scratch& s, pixel_range pixels, int64_t c0, int64_t c1);

// Rows times panels [p0, p1): into the output.
template <class T>
void multiply(const task& t, const scratch& s, pixel_range pixels, int64_t p0, int64_t p1);

// What is left of a depthwise convolution whose rows are in s.rows: activation and store.
template <class T>
void store_depthwise(const task& t, const scratch& s, pixel_range pixels);

void run(const sepconv_plan& plan, const sepconv_pack& pack, const void* input, void* output, void* workspace);

// What the taps read of an image at `input`; pixels and channels are the caller's to fill in.
tap_geometry taps_of(const geometry& g, const void* input);

// Element of the output at pixel q (over the batch), filter 0; and how many pixels from q on lie at one distance.
struct pixel_place {
  ptrdiff_t offset;  // elements
  int64_t run;       // pixels that follow at steps of output_step[2]
};

pixel_place place(const geometry& g, int64_t q);

// Element of the input, channel 0, that a 1x1 convolution without padding reads for that pixel.
ptrdiff_t input_pixel(const geometry& g, int64_t q);

}  // namespace sepconv
