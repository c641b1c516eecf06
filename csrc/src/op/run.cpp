// The loop over tiles: gather, multiply, finish.
#include <algorithm>
#include <limits>

#include "op/task.hpp"
#include "runtime/parallel.hpp"

namespace sepconv {
namespace {

finish finish_of(const sepconv_activation& a) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  switch (a.kind) {
    case SEPCONV_LINEAR: return {-infinity, infinity, false};
    case SEPCONV_RELU: return {0, infinity, false};
    case SEPCONV_RELU6: return {0, 6, false};
    case SEPCONV_HARD_TANH: return {-1, 1, false};
    default: return {-infinity, infinity, true};
  }
}

pixel_range tile(const task& t, int64_t index) {
  const int64_t first = index * t.sched().tile_pixels;
  return {first, index + 1 == t.sched().tiles ? t.geo().pixels : first + t.sched().tile_pixels};
}

struct rows_of_tile {
  int64_t count, stride;  // runs of contiguous pixels and the distance between them
  int64_t length;
};

// The activation between the halves, on `count` of the gathered rows.
template <class T>
void activate_middle(const task& t, const scratch& s, const rows_of_tile& r, int64_t first, int64_t count) {
  const sepconv_activation& a = t.geo().depthwise_activation;
  t.kernels().activate(a.kind, a.params, reinterpret_cast<T*>(s.rows) + first * r.stride, r.stride, count, r.length);
}

// Scratch rows hold pitch pixels, of which a tile may use fewer.
template <class T>
rows_of_tile rows_in_scratch(const task& t, pixel_range pixels) {
  const geometry& g = t.geo();
  const bool blocked = t.sched().gather == gather_lanes::channels;
  const int64_t block = blocked ? block_channels<T> : 1;
  const int64_t count = blocked ? ceil_div(g.channels(), block) * g.multiplier : g.depth;
  return {count, t.sched().pitch * block, (pixels.last - pixels.first) * block};
}

template <class T>
void run_tiles(const task& t) {
  const geometry& g = t.geo();
  const int64_t wide = t.sched().multiply == multiply_lanes::filters ? t.sched().columns : t.sched().rows;
  const int64_t panels = g.multiplies() ? ceil_div(g.filters(), wide) : 0;
  parallel_for(t.sched().tiles, t.sched().threads, [&](int64_t index, int32_t worker) {
    const scratch s = scratch_of(t, worker);
    const pixel_range pixels = tile(t, index);
    if (!t.sched().reads_input) gather<T>(t, s, pixels, 0, g.channels());
    if (t.depthwise.pass) {
      const rows_of_tile r = rows_in_scratch<T>(t, pixels);
      activate_middle<T>(t, s, r, 0, r.count);
    }
    if (g.pairs) pair_rows(t, s, pixels, 0, g.channels());
    if (g.multiplies())
      multiply<T>(t, s, pixels, 0, panels);
    else if (!t.sched().direct)
      store_depthwise<T>(t, s, pixels);
  });
}

// Few pixels: threads share out channels for the gather, then filters for the multiply. Two regions, so that no task ever waits for
// another.
template <class T>
void run_filters(const task& t) {
  const geometry& g = t.geo();
  constexpr int64_t block = block_channels<T>;
  const int64_t blocks = ceil_div(g.channels(), block);
  const int64_t panels = ceil_div(g.filters(), t.sched().columns);
  const int64_t shares = int64_t{4} * t.sched().threads;
  for (int64_t index = 0; index < t.sched().tiles; ++index) {
    const pixel_range pixels = tile(t, index);
    const int64_t gathers = t.sched().reads_input ? 0 : std::min(shares, blocks);
    parallel_for(gathers, t.sched().threads, [&](int64_t i, int32_t worker) {
      const scratch s = scratch_of(t, worker);
      const int64_t b0 = i * blocks / gathers, b1 = (i + 1) * blocks / gathers;
      const int64_t c0 = b0 * block, c1 = std::min(b1 * block, g.channels());
      gather<T>(t, s, pixels, c0, c1);
      const rows_of_tile r = rows_in_scratch<T>(t, pixels);
      const bool blocked = t.sched().gather == gather_lanes::channels;
      const int64_t first = blocked ? b0 : c0, count = (blocked ? b1 : c1) - first;
      for (int64_t m = 0; t.depthwise.pass && m < g.multiplier; ++m)
        activate_middle<T>(t, s, r, m * (r.count / g.multiplier) + first, count);
      if (g.pairs) pair_rows(t, s, pixels, c0, c1);
    });
    const int64_t multiplies = std::min(shares, panels);
    parallel_for(multiplies, t.sched().threads, [&](int64_t i, int32_t worker) {
      multiply<T>(t, scratch_of(t, worker), pixels, i * panels / multiplies, (i + 1) * panels / multiplies);
    });
  }
}

template <class T>
void run_as(const task& t) {
  if (t.sched().threads_split == split::filters)
    run_filters<T>(t);
  else
    run_tiles<T>(t);
}

}  // namespace

scratch scratch_of(const task& t, int32_t worker) {
  const schedule& s = t.sched();
  char* at = t.workspace + s.shared_size + static_cast<std::size_t>(worker) * s.worker_size;  // fits: checked in make_schedule
  const auto take = [&at](std::size_t size) {
    char* part = at;
    at += size;
    return part;
  };
  scratch out;
  const bool shared = s.threads_split == split::filters;
  out.rows = shared ? t.workspace : take(s.scratch_size);
  out.pairs = !s.pairs_size ? out.rows : shared ? t.workspace + s.scratch_size : take(s.pairs_size);
  out.planes = take(s.planes_size);
  out.wide = take(s.wide_size);
  out.tile = take(s.tile_size);
  out.offsets = reinterpret_cast<ptrdiff_t*>(take(s.offsets_size));
  return out;
}

void run(const sepconv_plan& plan, const sepconv_pack& pack, const void* input, void* output, void* workspace) {
  const geometry& g = plan.geometry;
  if (g.pixels == 0) return;
  // A bare depthwise convolution finishes where a fused one has its bias and activation between the halves.
  const finish last = finish_of(g.activation);
  const finish depthwise = g.multiplies() ? finish_of(g.depthwise_activation) : finish{last.lo, last.hi, false};
  const task t = {&plan, &pack, static_cast<const char*>(input), static_cast<char*>(output), static_cast<char*>(workspace),
                  depthwise, last};
  if (g.dtype == SEPCONV_FLOAT64)
    run_as<double>(t);
  else
    run_as<float>(t);
}

}  // namespace sepconv
