// The second region: a group of channels over the slabs of a part. Depthwise rows are recomputed a chunk at a time; only the gradients
// of a slab's rows are kept, until the input's gradient is made from them.
#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "op/task.hpp"
#include "op/vjp_task.hpp"

namespace sepconv {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

template <class T>
class group_run {
 public:
  group_run(const vjp_task& t, int64_t part, const channel_group& c, int32_t worker)
      : t_(t), v_(*t.v), g_(t.geo()), part_(part), c_(c), worker_(worker) {
    std::fill_n(mine(v_.sums_of_part), v_.multiplier * (g_.taps + 1) * v_.width, T(0));
    if (!bare() && v_.needs_row_gradients()) pack_panels(t, c, mine(v_.panels));
  }

  void slabs(int64_t first, int64_t last) {
    for (int64_t unit = first; unit < last; ++unit) {
      slab_ = slab_of(v_, unit);
      const int64_t across = g_.image_pixels / g_.output[v_.axis + 1];
      base_ = slab_.needed.first * across;
      if (v_.needs_rows() || v_.wants(SEPCONV_GRADIENT_DEPTHWISE_KERNEL)) see_input();
      for (int64_t m = 0; m < v_.multiplier; ++m) {
        if (v_.needs_row_gradients()) chunks(m, slab_.needed.first * across, slab_.own.first * across, false);
        chunks(m, slab_.own.first * across, slab_.own.last * across, true);
        if (v_.needs_row_gradients()) chunks(m, slab_.own.last * across, slab_.needed.last * across, false);
      }
      if (v_.wants(SEPCONV_GRADIENT_INPUT) && !straight_) input_gradient<T>(t_, slab_, c_, row_gradients(0, base_), row_step(), worker_);
      started_ = true;
    }
  }

  // Gradients of depthwise rows, from this pixel of the image on: in scratch, or the output's or the input's where it lies, if that is what
  // they are.
  T* row_gradients(int64_t m, int64_t pixel) const {
    if (straight_)
      return static_cast<T*>(t_.gradients.input) + slab_.image * v_.gradient_step[0] + pixel * v_.gradient_step[2] + c_.first;
    if (in_place_)
      return const_cast<T*>(reinterpret_cast<const T*>(t_.output_gradient)) + slab_.image * g_.output_step[0] +
             pixel * g_.output_step[2] + c_.first;
    const int64_t pixels = (slab_.needed.last - slab_.needed.first) * (g_.image_pixels / g_.output[v_.axis + 1]);
    return mine(v_.gradients) + (m * pixels + pixel - base_) * v_.width;
  }
  ptrdiff_t row_step() const { return straight_ ? v_.gradient_step[2] : in_place_ ? g_.output_step[2] : v_.width; }

  // The sums of the part, to their places.
  void store() {
    T* kernel = target(t_.gradients.depthwise_kernel, 0);
    T* bias = target(bare() ? t_.gradients.bias : t_.gradients.depthwise_bias, bare() ? v_.part_bias : v_.part_depthwise_bias);
    for (int64_t m = 0; m < v_.multiplier; ++m) {
      const T* sums = mine(v_.sums_of_part) + m * (g_.taps + 1) * v_.width;
      for (int64_t c = 0; c < c_.count; c += v_.block) {
        const int64_t k = (c_.first + c) * v_.multiplier + m, count = std::min(v_.block, c_.count - c);
        const auto spread = [&](const T* from, T* to) {
          if (v_.multiplier == 1 && count == block_channels<T>)
            std::memcpy(to + k, from, sizeof(T) * block_channels<T>);  // fits: a cache line
          else
            for (int64_t i = 0; i < count; ++i) to[k + i * v_.multiplier] = from[i];
        };
        for (int64_t tap = 0; tap < g_.taps && v_.wants(SEPCONV_GRADIENT_DEPTHWISE_KERNEL); ++tap)
          spread(sums + c * g_.taps + tap * v_.block, kernel + tap * g_.depth);
        if (wants_bias()) spread(sums + g_.taps * v_.width + c, bias);
      }
    }
  }

 private:
  T* mine(region r) const { return t_.of_worker<T>(r, worker_); }
  bool bare() const { return !g_.multiplies(); }
  bool wants_bias() const { return v_.wants(bare() ? SEPCONV_GRADIENT_BIAS : SEPCONV_GRADIENT_DEPTHWISE_BIAS); }

  T* target(void* whole, std::size_t in_part) const {
    if (part_ == 0) return static_cast<T*>(whole);
    return reinterpret_cast<T*>(t_.shared<char>(v_.partial) + static_cast<std::size_t>(part_ - 1) * v_.part_size + in_part);  // fits: in the workspace
  }

  // The input as kernels see it: where it lies, or what the slab needs of it, packed.
  void see_input() {
    const ptrdiff_t element = static_cast<ptrdiff_t>(element_size(g_.dtype));
    const quad& step = g_.input_step;
    const char* image = t_.input + (slab_.image * step[0] + c_.first * step[3]) * element;
    taps_ = taps_of(g_, image);
    end_ = t_.input + input_end(g_) * element;
    if (reads_directly(v_, c_.first)) return;
    const range seen = slab_.seen;
    (v_.axis == 0 ? taps_.input_height : taps_.input_width) = seen.last - seen.first;
    (v_.axis == 0 ? taps_.pad_top : taps_.pad_left) += seen.first;
    image += seen.first * step[v_.axis == 0 ? 1 : 2] * element;
    T* const to = mine(v_.rows_in);
    taps_.input = to;
    taps_.input_column = v_.width;
    taps_.input_row = taps_.input_width * v_.width;
    end_ = to + taps_.input_height * taps_.input_row;
    const bool joined = step[1] == taps_.input_width * step[2];  // rows, of which a long run is fetched ahead
    const int64_t lines = joined ? 1 : taps_.input_height, length = taps_.input_width * (joined ? taps_.input_height : 1);
    for (int64_t y = 0; y < lines; ++y, image += step[1] * element) {
      T* line = to + y * taps_.input_row;
      if (v_.repeats == 1) {
        load_pixels(*v_.storage, *v_.sums, {image, step[2], step[3]}, length, c_.count, line, v_.width, mine(v_.lines));
        continue;
      }
      for (int64_t x = 0; x < length; x += v_.chunk, line += v_.chunk * v_.width)
        repeat({image + x * step[2] * element, step[2], step[3]}, std::min(v_.chunk, length - x), line);
    }
  }

  // Pixels with each channel `repeats` times.
  void repeat(const pixel_source& from, int64_t pixels, T* to) {
    T* once = mine(v_.tile);
    load_pixels(*v_.storage, *v_.sums, from, pixels, g_.channels(), once, v_.block, mine(v_.lines));
    for (int64_t p = 0; p < pixels; ++p, once += v_.block, to += v_.width) {
      T* y = to;
      for (int64_t c = 0; c < g_.channels(); ++c)
        for (int64_t m = 0; m < v_.repeats; ++m) *y++ = once[c];
    }
  }

  // Pixels [first, last) of the image, in even chunks.
  void chunks(int64_t m, int64_t first, int64_t last, bool own) {
    const int64_t count = last - first, pieces = ceil_div(count, v_.chunk);
    for (int64_t i = 0; i < pieces; ++i) {
      const int64_t from = first + i * count / pieces, to = first + (i + 1) * count / pieces;
      if (v_.alone) mask_own(from, to, own, started_ || i > 0);
      const bool differentiates = v_.needs_row_gradients() && v_.middle != derivative_source::none;
      if (differentiates || (own && v_.wants(SEPCONV_GRADIENT_POINTWISE_KERNEL) && !given_)) gather(m, from, to);
      if (own && v_.wants(SEPCONV_GRADIENT_POINTWISE_KERNEL)) pointwise_gradient(m, from, to, started_ || i > 0);
      if (!v_.needs_row_gradients()) continue;
      T* gradients = row_gradients(m, from);
      const bool summed = bare() && !in_place_ && output_gradient(m, from, to, gradients);
      if (!bare()) multiply(m, from, to, gradients);
      if (!own) continue;
      if (wants_bias()) bias_gradient(m, to - from, gradients, summed);
      if (v_.wants(SEPCONV_GRADIENT_DEPTHWISE_KERNEL)) kernel_gradient(m, from, to, gradients);
    }
  }

  // Depthwise rows, and in `before` what their activation's derivative is computed from.
  void gather(int64_t m, int64_t first, int64_t last) {
    const int64_t at = m * (v_.groups * v_.width / v_.block) + c_.first / v_.block, count = (last - first) * v_.width;
    filter_channels_args a = {};
    static_cast<tap_geometry&>(a) = taps_;
    a.end = end_;
    a.first = first;
    a.last = last;
    a.channels = c_.count;
    a.weights = t_.shared<T>(v_.blocked) + at * g_.taps * v_.block;
    a.bias = t_.shared<T>(v_.blocked_bias) + at * v_.block;
    a.lo = -infinity;
    a.hi = infinity;
    T* rows = mine(v_.rows);
    a.output = rows;
    a.output_block = v_.block;
    a.output_pixel = v_.width;
    a.output_padded = true;
    a.fetches_input = reads_directly(v_, c_.first) && may_fetch_ahead(g_);
    v_.sums->filter_channels(&a);
    const sepconv_activation& f = g_.depthwise_activation;
    if (v_.middle == derivative_source::argument) std::copy(rows, rows + count, mine(v_.before));
    if (v_.middle != derivative_source::none) v_.sums->activate(f.kind, f.params, rows, 0, 1, count);
  }

  // The masked output gradient of a chunk, of which nobody else has a use.
  void mask_own(int64_t first, int64_t last, bool own, bool add) {
    const int64_t image = slab_.image * g_.image_pixels;
    T* sums = mine(v_.mask_sums);
    mask(t_, image + first, image + last, mine(v_.masked), sums, worker_);
    if (!own || !v_.wants(SEPCONV_GRADIENT_BIAS)) return;
    T* to = target(t_.gradients.bias, v_.part_bias);
    if (add)
      v_.sums->accumulate(sums, g_.filters(), to);
    else
      std::copy_n(sums, g_.filters(), to);
  }

  // The masked output gradient of a chunk.
  const T* masked(int64_t first) const {
    return v_.alone ? mine(v_.masked) : t_.shared<T>(v_.masked) + (slab_.image * g_.image_pixels + first) * v_.block;
  }

  void pointwise_gradient(int64_t m, int64_t first, int64_t last, bool add) {
    outer_args a = {};
    a.rows = {mine(v_.rows), v_.block, v_.width};
    if (given_)
      a.rows = {reinterpret_cast<const T*>(t_.input) + slab_.image * g_.input_step[0] + first * g_.input_step[2] + c_.first, v_.block,
                g_.input_step[2]};
    a.rows_count = c_.count;
    a.columns = {masked(first), v_.pitch * v_.block, v_.block};
    a.columns_count = g_.filters();
    a.pixels = last - first;
    a.add = add;
    T* const to = target(t_.gradients.pointwise_kernel, v_.part_pointwise);
    a.output = to + (c_.first * v_.multiplier + m) * g_.filters();
    a.output_row = v_.multiplier * g_.filters();
    if (v_.wants(SEPCONV_GRADIENT_TRANSPOSED)) {  // products and their order are the same
      std::swap(a.rows, a.columns);
      std::swap(a.rows_count, a.columns_count);
      a.output = to + c_.first;
      a.output_row = g_.depth;
    }
    v_.sums->outer(&a);
  }

  // Gradients of depthwise rows: the masked output gradient times the transposed pointwise kernel.
  void multiply(int64_t m, int64_t first, int64_t last, T* out) {
    const tile_shape shape = filters_tile(*v_.sums, c_.padded);
    const int64_t lanes = v_.sums->lanes, widest = shape.vectors * lanes, count = last - first, groups = ceil_div(count, shape.rows);
    multiply_args a = {};
    a.bias = t_.shared<T>(v_.zeros);
    a.blocks = v_.filter_blocks;
    a.row_step = v_.block;
    a.block_step = v_.pitch * v_.block;
    a.last_block = g_.filters() - (a.blocks - 1) * v_.block;
    a.passes = 1;
    a.lo = -infinity;
    a.hi = infinity;
    a.output_row = row_step();
    a.output_ahead = straight_ ? 2 * shape.rows * a.output_row : 0;  // scratch is near
    a.last_lanes = lanes;
    const int64_t whole = c_.padded / widest, rest = c_.padded % widest / lanes;
    for (int64_t group = 0; group < groups; ++group) {
      const int64_t at = group * count / groups, rows = (group + 1) * count / groups - at;
      a.broadcast = masked(first) + at * v_.block;
      const auto run = [&](int64_t c, int64_t panels, int64_t vectors) {
        a.lanes = mine(v_.panels) + (m * v_.width + c) * g_.filters();
        a.output = out + at * a.output_row + c;
        a.panels = panels;
        v_.sums->filters[rows][vectors](&a);
      };
      if (whole > 0) run(0, whole, widest / lanes);
      if (rest > 0) run(whole * widest, 1, rest);
    }
    const sepconv_activation& f = g_.depthwise_activation;
    const T* of = mine(v_.middle == derivative_source::argument ? v_.before : v_.rows);
    if (v_.middle != derivative_source::none) v_.sums->derive(f.kind, f.params, of, out, static_cast<std::size_t>(count * v_.width));  // fits: a chunk
  }

  // A bare depthwise convolution: the output gradient is that of the rows, but for the activation. Whether the chunk's sums over pixels
  // were made on the way.
  bool output_gradient(int64_t m, int64_t first, int64_t last, T* out) {
    const ptrdiff_t element = static_cast<ptrdiff_t>(element_size(g_.dtype)), pixel = g_.output_step[2];
    const ptrdiff_t channel = v_.multiplier * g_.output_step[3], begin = (c_.first * v_.multiplier + m) * g_.output_step[3];
    const int64_t image = slab_.image * g_.image_pixels;
    const interval slope = interval_of(g_.activation);
    const bool straight = slope.simple && channel == 1;
    std::fill_n(mine(v_.sums_of_chunk), v_.width, T(0));
    for (int64_t p = first; p < last;) {
      const pixel_place from = place(g_, image + p);
      const int64_t count = std::min(last - p, from.run);
      const ptrdiff_t offset = (from.offset + begin) * element;
      T* y = out + (p - first) * v_.width;
      p += count;
      const char* const d = t_.output_gradient + offset;
      const char* const of = t_.kept ? t_.kept + offset : nullptr;
      if (straight) {
        const mask_args a = {d, slope.bounded ? of : nullptr, pixel, count, c_.count, slope.lo, slope.hi, y, v_.block, v_.width,
                             mine(v_.sums_of_chunk)};
        v_.storage->mask(&a);
        continue;
      }
      load_pixels(*v_.storage, *v_.sums, {d, pixel, channel}, count, c_.count, y, v_.width, mine(v_.lines));
      if (v_.last == derivative_source::none) continue;
      T* kept = mine(v_.rows);
      load_pixels(*v_.storage, *v_.sums, {of, pixel, channel}, count, c_.count, kept, v_.width, mine(v_.lines));
      v_.sums->derive(g_.activation.kind, g_.activation.params, kept, y, static_cast<std::size_t>(count * v_.width));  // fits: a chunk
    }
    return straight;
  }

  // The chunk's share of a bias of the rows.
  void bias_gradient(int64_t m, int64_t pixels, const T* gradients, bool summed) {
    T* of_chunk = mine(v_.sums_of_chunk);
    if (!summed) v_.sums->sum_pixels(gradients, row_step(), pixels, in_place_ ? c_.count : v_.width, of_chunk);
    v_.sums->accumulate(of_chunk, v_.width, mine(v_.sums_of_part) + (m * (g_.taps + 1) + g_.taps) * v_.width);
  }

  // The chunk's share of the depthwise kernel's gradient.
  void kernel_gradient(int64_t m, int64_t first, int64_t last, const T* gradients) {
    T* of_chunk = mine(v_.sums_of_chunk);
    filter_gradient_args a = {};
    static_cast<tap_geometry&>(a) = taps_;
    a.first = first;
    a.last = last;
    a.channels = ceil_div(c_.count, v_.block) * v_.block;
    a.gradient = gradients;
    a.gradient_pixel = row_step();
    a.sums = of_chunk;
    v_.sums->filter_gradient(&a);
    v_.sums->accumulate(of_chunk, g_.taps * a.channels, mine(v_.sums_of_part) + m * (g_.taps + 1) * v_.width);
  }

  const vjp_task& t_;
  const sepconv_vjp& v_;
  const geometry& g_;
  const int64_t part_;
  const channel_group c_;
  const int32_t worker_;
  const bool in_place_ = reads_gradient_directly(v_, c_.first);
  const bool given_ = rows_are_input(v_, c_.first), straight_ = row_gradients_are_inputs(v_, c_.first);
  slab slab_ = {};
  int64_t base_ = 0;      // first pixel of the image whose row gradients are kept
  bool started_ = false;  // a slab of this part is done
  tap_geometry taps_ = {};
  const void* end_ = nullptr;  // of the array that the taps read
};

}  // namespace

template <class T>
void run_group(const vjp_task& t, int64_t part, int64_t group, int32_t worker) {
  const sepconv_vjp& v = *t.v;
  group_run<T> run(t, part, group_of(v, group), worker);
  run.slabs(part * v.units / v.parts, (part + 1) * v.units / v.parts);
  run.store();
}

template void run_group<float>(const vjp_task&, int64_t, int64_t, int32_t);
template void run_group<double>(const vjp_task&, int64_t, int64_t, int32_t);

}  // namespace sepconv
