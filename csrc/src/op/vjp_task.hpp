// One run of gradients: what its steps share.
#pragma once

#include "plan/checked.hpp"
#include "plan/vjp.hpp"

namespace sepconv {

struct vjp_task {
  const sepconv_vjp* v;
  const sepconv_weights* weights;
  const char *input, *kept, *output_gradient;
  sepconv_gradients gradients;
  char* workspace;

  const geometry& geo() const { return v->geometry; }
  template <class T>
  T* shared(region r) const {
    return reinterpret_cast<T*>(workspace + r.at);
  }
  template <class T>
  T* of_worker(region r, int32_t worker) const {
    return reinterpret_cast<T*>(workspace + v->worker_at + v->worker_size * static_cast<std::size_t>(worker) + r.at);  // fits: checked in make_vjp
  }
};

// A group of channels, which one task takes.
struct channel_group {
  int64_t first, count;  // channels
  int64_t padded;        // whole vectors, as multiplied
};

channel_group group_of(const sepconv_vjp& v, int64_t index);

// Where the derivative of an activation is 1, by its output: above lo and not from hi on. It is 0 elsewhere.
struct interval {
  bool simple, bounded;
  double lo, hi;
};

interval interval_of(const sepconv_activation& a);

// The depthwise weights of a group of channels, in the orders of all steps.
template <class T>
void pack_group(const vjp_task& t, int64_t group);

// The pointwise kernel of a group transposed, in panels as wide as the micro-kernel: [multiplier][channel panel][filter][channel].
template <class T>
void pack_panels(const vjp_task& t, const channel_group& c, T* to);

// Pixels (over the batch, at most a chunk) of the output gradient times the derivative of the activation, in blocks of filters `pitch` pixels
// apart; and their sums.
template <class T>
void mask(const vjp_task& t, int64_t first, int64_t last, T* to, T* sums, int32_t worker);

// All gradients of a group of channels over the slabs of a part.
template <class T>
void run_group(const vjp_task& t, int64_t part, int64_t group, int32_t worker);

// The input's gradient of a slab, from the gradients of its rows.
template <class T>
void input_gradient(const vjp_task& t, const slab& s, const channel_group& c, const T* row_gradients, ptrdiff_t row_step, int32_t worker);

void run_vjp(const vjp_task& t);

}  // namespace sepconv
