// Gradients, in three regions: weights packed and output gradients masked; groups of channels; what is left to add.
#include <algorithm>
#include <cstring>

#include "op/vjp_task.hpp"
#include "runtime/parallel.hpp"

namespace sepconv {
namespace {

struct target {
  void* first;          // of part 0: the caller's
  std::size_t in_part;  // where the others have theirs
  int64_t count;
};

// Adds the parts, in order.
template <class T>
void add_parts(const vjp_task& t, const target& to) {
  const sepconv_vjp& v = *t.v;
  constexpr int64_t piece = 4096;
  if (v.parts == 1) return;
  parallel_for(ceil_div(to.count, piece), v.threads, [&](int64_t i, int32_t) {
    const int64_t at = i * piece, count = std::min(piece, to.count - at);
    for (int64_t part = 1; part < v.parts; ++part) {
      const char* from = t.shared<char>(v.partial) + static_cast<std::size_t>(part - 1) * v.part_size + to.in_part;  // fits: in the workspace
      v.sums->accumulate(reinterpret_cast<const T*>(from) + at, count, static_cast<T*>(to.first) + at);
    }
  });
}

template <class T>
void mask_chunk(const vjp_task& t, int64_t index, int32_t worker) {
  const sepconv_vjp& v = *t.v;
  const int64_t first = index * v.chunk, last = std::min(first + v.chunk, t.geo().pixels);
  mask(t, first, last, t.shared<T>(v.masked) + first * v.block, t.shared<T>(v.mask_sums) + index * v.filter_blocks * v.block, worker);
}

template <class T>
void add_mask_sums(const vjp_task& t) {
  const sepconv_vjp& v = *t.v;
  const int64_t filters = t.geo().filters(), row = v.filter_blocks * v.block;
  const T* sums = t.shared<T>(v.mask_sums);
  T* out = static_cast<T*>(t.gradients.bias);
  std::copy(sums, sums + filters, out);
  for (int64_t i = 1; i < v.mask_chunks; ++i) v.sums->accumulate(sums + i * row, filters, out);
}

template <class T>
void run_as(const vjp_task& t) {
  const sepconv_vjp& v = *t.v;
  const geometry& g = t.geo();
  const bool bare = !g.multiplies(), shared = !bare && !v.alone;
  const bool apart = shared || v.parts > 1;  // else nobody but its task needs what a group packs
  std::fill_n(t.shared<T>(v.zeros), std::max<int64_t>(v.width, 64), T(0));
  if (apart)
    parallel_for(v.groups + (shared ? v.mask_chunks : 0), v.threads, [&](int64_t i, int32_t worker) {
      if (i < v.groups)
        pack_group<T>(t, i);
      else
        mask_chunk<T>(t, i - v.groups, worker);
    });
  if (v.wanted != SEPCONV_GRADIENT_BIAS || !shared)
    parallel_for(v.groups * v.parts, v.threads, [&](int64_t i, int32_t worker) {
      if (!apart) pack_group<T>(t, i);
      run_group<T>(t, i / v.groups, i % v.groups, worker);
    });
  if (v.wants(SEPCONV_GRADIENT_DEPTHWISE_KERNEL)) add_parts<T>(t, {t.gradients.depthwise_kernel, 0, g.depth * g.taps});
  if (v.wants(SEPCONV_GRADIENT_DEPTHWISE_BIAS)) add_parts<T>(t, {t.gradients.depthwise_bias, v.part_depthwise_bias, g.depth});
  if (v.wants(SEPCONV_GRADIENT_POINTWISE_KERNEL))
    add_parts<T>(t, {t.gradients.pointwise_kernel, v.part_pointwise, g.depth * g.filters()});
  if (v.wants(SEPCONV_GRADIENT_BIAS) && !shared) add_parts<T>(t, {t.gradients.bias, v.part_bias, bare ? g.depth : g.filters()});
  if (v.wants(SEPCONV_GRADIENT_BIAS) && shared) add_mask_sums<T>(t);
}

void clear(void* array, int64_t count, std::size_t size) {
  if (array) std::memset(array, 0, static_cast<std::size_t>(count) * size);  // fits: the caller's array
}

}  // namespace

channel_group group_of(const sepconv_vjp& v, int64_t index) {
  const int64_t first = index * v.width, count = std::min(v.width, v.channels - first), lanes = v.sums->lanes;
  return {first, count, ceil_div(count, lanes) * lanes};
}

void run_vjp(const vjp_task& t) {
  const geometry& g = t.geo();
  if (g.pixels == 0) {
    const std::size_t size = sum_size(g.dtype);
    clear(t.gradients.depthwise_kernel, g.depth * g.taps, size);
    clear(t.gradients.depthwise_bias, g.depth, size);
    clear(t.gradients.pointwise_kernel, g.depth * g.filters(), size);
    clear(t.gradients.bias, g.filters(), size);
    return;
  }
  if (t.v->wanted == 0) return;
  if (g.dtype == SEPCONV_FLOAT64)
    run_as<double>(t);
  else
    run_as<float>(t);
}

}  // namespace sepconv
