#include "plan/vjp.hpp"

#include <algorithm>
#include <numeric>

#include "plan/checked.hpp"
#include "runtime/isa.hpp"
#include "runtime/parallel.hpp"

namespace sepconv {
namespace {

// Blocks of a slab, of all its pixels and multipliers: 1 MB of gradients of rows.
constexpr int64_t slab_blocks = 16384;
constexpr int64_t least_tasks = 4, most_parts = 16;  // where geometry allows it, so that threads have something to share

int64_t reach(const geometry& g, int axis) { return (g.kernel[axis] - 1) * g.dilation[axis]; }  // fits: checked in make_geometry

std::vector<phase> make_phases(const geometry& g, int axis) {
  const int64_t s = g.stride[axis], d = g.dilation[axis], k = g.kernel[axis], size = g.input[axis + 1];
  const int64_t step = s / std::gcd(s, d), apart = d / std::gcd(s, d);
  std::vector<phase> out;
  for (int64_t first = 0; first < std::min(s, size); ++first) {
    phase p = {first, ceil_div(size - first, s), 0, 0, step, 0, out.empty() ? 0 : out.back().before + out.back().taps};  // fits: at most k
    while (p.tap < std::min(k, step) && (first + g.pad_before[axis] - p.tap * d) % s != 0) ++p.tap;  // fits: within the reach
    if (p.tap < std::min(k, step)) {
      p.taps = ceil_div(k - p.tap, step);
      p.pad = (p.taps - 1) * apart - (first + g.pad_before[axis] - p.tap * d) / s;  // fits: within the reach
    }
    out.push_back(p);
  }
  return out;
}

// Outputs along the axis that read one of the inputs [first, last).
range readers(const geometry& g, int axis, range input) {
  const int64_t s = g.stride[axis], pad = g.pad_before[axis], size = g.output[axis + 1];
  const int64_t first = ceil_div(std::max<int64_t>(input.first + pad - reach(g, axis), 0), s);
  const int64_t last = floor_div(input.last - 1 + pad, s) + 1;
  return {std::min(first, size), std::clamp<int64_t>(last, 0, size)};
}

// Slabs, with halos that are small against them, and parts.
void cut(sepconv_vjp& v) {
  const geometry& g = v.geometry;
  v.axis = g.output[1] == 1 ? 1 : 0;
  const int64_t size = g.output[v.axis + 1], across = g.image_pixels / size;
  const int64_t halo = reach(g, v.axis) / g.stride[v.axis];
  const int64_t row = checked_mul(across, v.multiplier, "multiplier");
  const int64_t least = std::max<int64_t>(8 * std::min(halo, size), 1);  // fits: checked in make_geometry
  int64_t most = std::max(slab_blocks / std::max<int64_t>(v.width / v.block, 2) / row, least);
  const int64_t tasks = std::max<int64_t>(v.groups * std::max<int64_t>(g.batch(), 1), 1);  // fits: below the input's elements
  if (tasks < least_tasks) most = std::min(most, std::max({ceil_div(size, ceil_div(least_tasks, tasks)), least, ceil_div(256, row)}));
  v.slabs = std::max<int64_t>(ceil_div(size, most), 1);
  v.slab_size = ceil_div(size, v.slabs);
  v.slabs = ceil_div(size, v.slab_size);
  v.units = checked_mul(v.slabs, g.batch(), "input_shape");
  v.parts = std::clamp<int64_t>(ceil_div(most_parts, v.groups), 1, std::max<int64_t>(v.units, 1));
}

// Gives regions one after the other, in whole cache lines.
class layout {
 public:
  explicit layout(int64_t element) : element_(element) {}
  region take(int64_t count) {
    const int64_t size = checked_mul(count, element_, "workspace");
    const region r = {total_, static_cast<std::size_t>(checked_add(size, int64_t{63}, "workspace") / 64 * 64)};  // fits: rounds down
    total_ = checked_add(total_, r.size, "workspace");
    return r;
  }
  std::size_t total() const { return total_; }

 private:
  int64_t element_;
  std::size_t total_ = 0;
};

void lay_out(sepconv_vjp& v) {
  const geometry& g = v.geometry;
  const int64_t element = static_cast<int64_t>(sum_size(g.dtype));
  const int64_t depth = checked_mul(v.groups * v.width, v.multiplier, "multiplier");  // fits: below channels and a group
  const int64_t taps = checked_mul(depth, g.taps, "kernel");
  const bool bare = !g.multiplies();

  layout part(element);
  part.take(v.wants(SEPCONV_GRADIENT_DEPTHWISE_KERNEL) ? checked_mul(g.depth, g.taps, "kernel") : 0);
  v.part_depthwise_bias = part.take(v.wants(SEPCONV_GRADIENT_DEPTHWISE_BIAS) ? g.depth : 0).at;
  v.part_pointwise = part.take(v.wants(SEPCONV_GRADIENT_POINTWISE_KERNEL) ? checked_mul(g.depth, g.filters(), "filters") : 0).at;
  v.part_bias = part.take(v.wants(SEPCONV_GRADIENT_BIAS) ? bare ? g.depth : v.alone ? g.filters() : 0 : 0).at;
  v.part_size = part.total();

  layout shared(element);
  v.blocked = shared.take(taps);
  v.blocked_bias = shared.take(depth);
  v.reversed = shared.take(taps);
  v.zeros = shared.take(std::max<int64_t>(v.width, 64));
  const int64_t masked = bare ? 0 : checked_mul(checked_mul(v.filter_blocks, v.pitch, "filters"), v.block, "filters");
  const int64_t filters = bare ? 0 : checked_mul(v.filter_blocks, v.block, "filters");
  if (!v.alone) v.masked = shared.take(masked);
  if (!v.alone) v.mask_sums = shared.take(checked_mul(v.mask_chunks, filters, "filters"));
  const int64_t part_count = static_cast<int64_t>(v.part_size) / element;
  v.partial = shared.take(checked_mul(v.parts - 1, part_count, "filters"));

  int64_t needed = 0, seen = 0;
  for (int64_t i = 0; i < std::min(v.slabs, v.units); ++i) {
    const slab s = slab_of(v, i);
    needed = std::max(needed, s.needed.last - s.needed.first);
    seen = std::max(seen, s.seen.last - s.seen.first);
  }
  const int64_t output_across = g.image_pixels / g.output[v.axis + 1], input_across = g.input[2 - v.axis];
  const int64_t last = (v.groups - 1) * v.width;  // fits: a channel
  layout worker(element);
  const int64_t lines = checked_mul(v.chunk, v.width, "workspace");
  const int64_t area = checked_mul(checked_mul(seen, input_across, "input_shape"), v.width, "input_shape");
  v.rows_in = worker.take(reads_directly(v, last) ? 0 : area);
  v.before = worker.take(lines);
  v.rows = worker.take(lines);
  const int64_t gradients = checked_mul(checked_mul(needed, output_across, "workspace"), v.width, "workspace");
  const bool kept_elsewhere = reads_gradient_directly(v, last) || row_gradients_are_inputs(v, last);
  v.gradients = worker.take(kept_elsewhere ? 0 : checked_mul(gradients, v.multiplier, "multiplier"));
  v.tile = worker.take(lines);
  v.second = worker.take(lines);
  v.sums_of_chunk = worker.take(checked_mul(v.width, checked_add(g.taps, int64_t{1}, "kernel"), "kernel"));
  v.sums_of_part = worker.take(
      checked_mul(checked_mul(v.width, checked_add(g.taps, int64_t{1}, "kernel"), "kernel"), v.multiplier, "multiplier"));
  v.lines = worker.take(64 * v.width);  // fits: constants
  const bool multiplies = !bare && v.needs_row_gradients();
  v.panels = worker.take(multiplies ? checked_mul(checked_mul(v.width, v.multiplier, "multiplier"), g.filters(), "filters") : 0);
  if (v.alone) v.masked = worker.take(masked);
  if (v.alone) v.mask_sums = worker.take(filters);
  v.worker_at = shared.total();
  v.worker_size = worker.total();
  v.workspace_size =
      checked_add(checked_mul(v.worker_size, static_cast<std::size_t>(v.threads), "workspace"), v.worker_at, "workspace");
}

void check_wanted(const sepconv_vjp& v) {
  const sepconv_op op = v.geometry.op;
  int32_t allowed = SEPCONV_GRADIENT_INPUT | SEPCONV_GRADIENT_BIAS;
  if (op != SEPCONV_POINTWISE) allowed |= SEPCONV_GRADIENT_DEPTHWISE_KERNEL;
  if (op != SEPCONV_DEPTHWISE) allowed |= SEPCONV_GRADIENT_POINTWISE_KERNEL;
  if (op == SEPCONV_SEPARABLE) allowed |= SEPCONV_GRADIENT_DEPTHWISE_BIAS;
  if (v.wants(SEPCONV_GRADIENT_POINTWISE_KERNEL) && v.geometry.multiplier == 1) allowed |= SEPCONV_GRADIENT_TRANSPOSED;
  if (v.wanted & ~allowed)
    invalid("`wanted` must be a sum of gradients that the convolution has, at most " + std::to_string(allowed) +
            ". Received: " + std::to_string(v.wanted));
}

// Strides of the input's gradient: given, or those of the input. Every element must have a place of its own.
void choose_gradient_step(sepconv_vjp& v, const int64_t* given) {
  const geometry& g = v.geometry;
  v.gradient_step = g.input_step;
  for (std::size_t i = 0; given && i < 4; ++i) v.gradient_step[i] = given[i];
  if (!v.wants(SEPCONV_GRADIENT_INPUT)) return;
  int64_t span = 1;
  for (std::size_t i = 0; i < 4; ++i) {
    if (g.input[i] > 1 && v.gradient_step[i] < 1)
      invalid("`gradient_strides` must be positive. Received: " + std::to_string(v.gradient_step[i]));
    if (g.input[i] > 1) span = checked_add(span, checked_mul(g.input[i] - 1, v.gradient_step[i], "gradient_strides"), "gradient_strides");
  }
  checked_mul(span, int64_t{8}, "gradient_strides");
}

// Whether the group of channels from `channel` on is whole blocks of numbers as they are summed, each channel once.
bool fills_blocks(const sepconv_vjp& v, int64_t channel) {
  return v.storage == v.sums && v.repeats == 1 && std::min(v.width, v.channels - channel) % v.block == 0;
}

// Pixels of a chunk that crowd are copied: they are a multiple of so many bytes apart.
constexpr std::size_t crowded_rows = 512, crowded_windows = 2048;  // of a 1x1 convolution, and of a bare one

// Of a 1x1 convolution: pixel by pixel.
bool takes_every_pixel(const geometry& g) {
  const bool all = g.output[1] == g.input[1] && g.output[2] == g.input[2];
  return g.op == SEPCONV_POINTWISE && g.stride == pair{1, 1} && g.pad_before == pair{0, 0} && all;
}

}  // namespace

derivative_source source_of(const sepconv_activation& a) {
  const double p = a.params[0], q = a.params[1], r = a.params[2];
  switch (a.kind) {
    case SEPCONV_LINEAR: return derivative_source::none;
    case SEPCONV_RELU_GENERAL: return p >= 0 && q > r && r >= 0 ? derivative_source::output : derivative_source::argument;
    case SEPCONV_LEAKY_RELU:
    case SEPCONV_ELU:
    case SEPCONV_CELU: return p >= 0 ? derivative_source::output : derivative_source::argument;
    case SEPCONV_SILU:
    case SEPCONV_GELU:
    case SEPCONV_GELU_TANH:
    case SEPCONV_TANH_SHRINK:
    case SEPCONV_THRESHOLD:
    case SEPCONV_HARD_SILU:
    case SEPCONV_MISH: return derivative_source::argument;
    default: return derivative_source::output;
  }
}

bool reads_directly(const sepconv_vjp& v, int64_t channel) {
  const quad& step = v.geometry.input_step;
  return fills_blocks(v, channel) && step[3] == 1 && (v.geometry.multiplies() || !crowds(step[2], sum_size(v.geometry.dtype), crowded_windows));
}

bool reads_gradient_directly(const sepconv_vjp& v, int64_t channel) {
  const geometry& g = v.geometry;
  const bool rows = !g.multiplies() && v.multiplier == 1 && v.last == derivative_source::none;
  const bool lies = g.output_step[3] == 1 && !crowds(g.output_step[2], sum_size(g.dtype), crowded_windows);
  return rows && lies && fills_blocks(v, channel) && g.output_step[1] == g.output[2] * g.output_step[2];  // fits: inside the output
}

bool rows_are_input(const sepconv_vjp& v, int64_t channel) {
  const quad& step = v.geometry.input_step;
  const bool even = step[1] == v.geometry.input[2] * step[2];  // fits: inside the input
  return takes_every_pixel(v.geometry) && even && !crowds(step[2], sum_size(v.geometry.dtype), crowded_rows) && reads_directly(v, channel);
}

bool row_gradients_are_inputs(const sepconv_vjp& v, int64_t channel) {
  const quad& step = v.gradient_step;
  const bool dense = step[3] == 1 && step[1] == v.geometry.input[2] * step[2];  // fits: inside the gradient
  return takes_every_pixel(v.geometry) && v.wants(SEPCONV_GRADIENT_INPUT) && dense && fills_blocks(v, channel);
}

slab slab_of(const sepconv_vjp& v, int64_t unit) {
  const geometry& g = v.geometry;
  const int axis = v.axis;
  const int64_t size = g.input[axis + 1], s = g.stride[axis], pad = g.pad_before[axis], i = unit % v.slabs;
  const auto owned = [&](int64_t slab) {  // where the inputs of a slab begin
    return slab == 0 ? 0 : slab == v.slabs ? size : std::clamp<int64_t>(slab * v.slab_size * s - pad, 0, size);  // fits: checked in make_geometry
  };
  slab out = {};
  out.image = unit / v.slabs;
  out.own = {i * v.slab_size, std::min((i + 1) * v.slab_size, g.output[axis + 1])};  // fits: below the output
  out.input = {owned(i), owned(i + 1)};
  out.needed = out.own;
  if (v.wants(SEPCONV_GRADIENT_INPUT) && out.input.first < out.input.last) {
    const range r = readers(g, axis, out.input);
    if (r.first < r.last) out.needed = {std::min(r.first, out.own.first), std::max(r.last, out.own.last)};
  }
  const int64_t from = out.needed.first * s - pad, to = (out.needed.last - 1) * s - pad + reach(g, axis) + 1;  // fits: checked in make_geometry
  out.seen = {std::clamp<int64_t>(from, 0, size), std::clamp<int64_t>(to, 0, size)};
  if (out.seen.last < out.seen.first) out.seen.last = out.seen.first;
  return out;
}

sepconv_vjp make_vjp(const sepconv_spec& spec, int32_t wanted, const int64_t* gradient_strides) {
  sepconv_vjp v = {};
  v.geometry = make_geometry(spec);
  const geometry& g = v.geometry;
  v.table = &find_isa(spec.isa);
  v.storage = v.table->sets[g.dtype];
  v.sums = v.table->sets[sum_dtype(g.dtype)];
  v.wanted = wanted;
  check_wanted(v);
  choose_gradient_step(v, gradient_strides);
  v.middle = source_of(g.depthwise_activation);
  v.last = source_of(g.activation);
  v.block = 64 / static_cast<int64_t>(sum_size(g.dtype));
  const bool few = 2 * g.channels() <= v.block && g.multiplier <= 2 * v.block / g.channels();  // fits: constants, sizes below 2^60
  v.repeats = few ? g.multiplier : 1;
  v.channels = g.channels() * v.repeats;  // fits: at most two blocks, or without repeats
  v.multiplier = g.multiplier / v.repeats;
  // Four blocks: rows of a chunk stay in L1, and the masked gradient, from L2 or beyond, passes by as seldom as that allows. Of a bare
  // convolution with few taps, which leave it to memory, eight, a run long enough to be fetched ahead, unless they are copied (see
  // reads_directly; the shape alone decides, since slabs and so sums follow from it).
  const bool copied = crowds(g.channels(), sum_size(g.dtype), crowded_windows);
  const int64_t blocks = ceil_div(v.channels, v.block), most_blocks = g.multiplies() || g.taps > 9 || copied ? 4 : 8;
  v.width = ceil_div(blocks, ceil_div(blocks, most_blocks)) * v.block;  // fits: at most eight blocks
  v.groups = ceil_div(v.channels, v.width);
  v.chunk = 128;  // rows and masked gradients of three blocks of filters stay in L1
  v.filter_blocks = ceil_div(g.filters(), v.block);
  v.alone = g.multiplies() && v.groups == 1 && v.multiplier == 1;
  v.pitch = (v.alone ? v.chunk : g.pixels) | 1;  // odd, so that blocks of one pixel don't compete for the same sets of L1
  v.mask_chunks = ceil_div(g.pixels, v.chunk);
  for (int axis : {0, 1}) {
    v.phases[axis] = make_phases(g, axis);
    v.phase_dilation[static_cast<std::size_t>(axis)] = g.dilation[axis] / std::gcd(g.stride[axis], g.dilation[axis]);
  }
  cut(v);
  const double work = 3 * flops(g) / 2e5;
  const int32_t most = spec.num_threads > 0 ? spec.num_threads : default_threads();
  v.threads = work < 2 ? 1 : static_cast<int32_t>(std::min<double>(most, work));
  lay_out(v);
  return v;
}

}  // namespace sepconv
