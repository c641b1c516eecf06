// Steps 2 and 3: rows times packed weights, and the finish of each micro-tile.
//
// A micro-tile goes straight to the output where its rows are evenly spaced there, and many get their activation at a time, while they are
// in L1; else it stops in a buffer, gets its activation, and is stored with the output's type and strides.
#include <algorithm>

#include "op/task.hpp"

namespace sepconv {
namespace {

// Buffer [pixel][filter] or, transposed, [filter][pixel]: pixels from q on, filters from f on.
template <class T>
void store_buffer(const task& t, const T* tile, int64_t tile_row, int64_t q, int64_t pixels, int64_t f, int64_t filters,
                  bool transposed) {
  const geometry& g = t.geo();
  const ptrdiff_t element = static_cast<ptrdiff_t>(element_size(g.dtype));
  while (pixels > 0) {
    const pixel_place to = place(g, q);
    const int64_t count = std::min(pixels, to.run);
    char* target = t.output + (to.offset + f * g.output_step[3]) * element;
    if (transposed)
      t.kernels().store_tile(tile, tile_row, filters, count, target, g.output_step[3], g.output_step[2]);
    else if (g.output_step[3] == 1 && g.output_step[2] == filters && tile_row == filters)  // no gaps
      t.kernels().store_tile(tile, 0, 1, count * filters, target, 0, 1);
    else
      t.kernels().store_tile(tile, tile_row, count, filters, target, g.output_step[2], g.output_step[3]);
    tile += transposed ? count : count * tile_row;
    q += count;
    pixels -= count;
  }
}

void finish_rows(const task& t, void* data, ptrdiff_t row, int64_t rows, int64_t count) {
  const sepconv_activation& a = t.geo().activation;
  if (t.last.pass) t.kernels().activate(a.kind, a.params, data, row, rows, count);
}

// place() of pixels of one tile, without its divisions where the whole tile is evenly spaced, as it mostly is.
class tile_places {
 public:
  tile_places(const geometry& g, pixel_range pixels)
      : g_(g), first_(pixels.first), start_(place(g, pixels.first)), even_(start_.run >= pixels.last - pixels.first) {}

  // Whether micro-tiles may go straight to the output, which is where many at a time get their activation.
  bool take(const task& t) const { return stores_sums(t.geo().dtype) && (even_ || !t.last.pass); }
  bool even() const { return even_; }

  pixel_place operator()(int64_t q) const {
    if (!even_) return place(g_, q);
    return {start_.offset + (q - first_) * g_.output_step[2], start_.run - (q - first_)};
  }

 private:
  const geometry& g_;
  int64_t first_;
  pixel_place start_;
  bool even_;
};

// Where a micro-tile's results go: pixels from q on, filters from f on.
struct micro_tile {
  int64_t q, pixels, f, filters;
  int64_t columns;  // that the kernel computes
  bool straight;    // the output takes them as they are, if its pixels are evenly spaced
  bool transposed;  // rows are filters
};

// By way of the buffer.
template <class T>
[[gnu::noinline]] void run_apart(const task& t, T* buffer, multiply_fn kernel, multiply_args& a, const micro_tile& m) {
  a.output = buffer;
  a.output_row = m.columns;
  a.last_lanes = t.kernels().lanes;
  kernel(&a);
  finish_rows(t, buffer, 0, 1, (m.transposed ? m.filters : m.pixels) * m.columns);
  store_buffer(t, buffer, m.columns, m.q, m.pixels, m.f, m.filters, m.transposed);
}

// Where k is short, this takes as long as the kernel: no divisions, no calls.
template <class T>
[[gnu::always_inline]] inline void run_kernel(const task& t, T* buffer, multiply_fn kernel, multiply_args& a, const micro_tile& m,
                                              const tile_places& places) {
  const geometry& g = t.geo();
  const pixel_place to = places(m.q);
  if (!m.straight || to.run < m.pixels) return run_apart(t, buffer, kernel, a, m);
  a.output = reinterpret_cast<T*>(t.output) + to.offset + m.f * g.output_step[3];
  a.output_row = m.transposed ? g.output_step[3] : g.output_step[2];
  a.last_lanes = t.kernels().lanes - (m.columns - (m.transposed ? m.pixels : m.filters));
  kernel(&a);
}

// What is multiplied: the input itself from this pixel on, or scratch.
template <class T>
const T* operand(const task& t, const scratch& s, int64_t q) {
  return t.sched().reads_input ? reinterpret_cast<const T*>(t.input) + input_pixel(t.geo(), q) : reinterpret_cast<const T*>(s.pairs);
}

// Lines of memory to fetch while a tile is multiplied: so many a block of k, during the first of its groups of rows.
struct lines_ahead {
  const char* first;
  int64_t share, groups;
};

// What this thread's next tile, if all go on alike, is the first to read of the input. `blocks` of k pass in each group.
[[gnu::noinline]] lines_ahead next_input(const task& t, pixel_range pixels, int64_t groups, int64_t blocks) {
  const geometry& g = t.geo();
  const int64_t first = pixels.last + (t.sched().threads - 1) * t.sched().tile_pixels;  // fits: of 32 bits and a tile's 4096
  if (!t.sched().fetches_next || first >= g.pixels) return {};
  const int64_t image = first / g.image_pixels, start = image * g.image_pixels;
  const int64_t last = std::min(first + t.sched().tile_pixels, start + g.image_pixels) - 1;
  const auto bottom = [&](int64_t q) {  // the row below those that it reads
    return (q - start) / g.output[2] * g.stride[0] + (g.kernel[0] - 1) * g.dilation[0] - g.pad_before[0] + 1;
  };
  const int64_t from = std::clamp<int64_t>(bottom(first) - g.stride[0], 0, g.input[1]), to = std::clamp<int64_t>(bottom(last), from, g.input[1]);
  const ptrdiff_t element = static_cast<ptrdiff_t>(element_size(g.dtype));
  const int64_t lines = (to - from) * g.input_step[1] * element / 64, share = ceil_div(lines, blocks * groups);
  return {t.input + (image * g.input_step[0] + from * g.input_step[1]) * element, share, lines > 0 ? ceil_div(lines, blocks * share) : 0};
}

// Lanes over filters: rows are pixels of scratch, in blocks of channels or in planes; or of the input.
template <class T>
void multiply_filters(const task& t, const scratch& s, pixel_range pixels, int64_t p0, int64_t p1) {
  const geometry& g = t.geo();
  const schedule& plan = t.sched();
  constexpr int64_t block = block_channels<T>;
  const bool blocked = plan.gather == gather_lanes::channels;
  const int64_t lanes = t.kernels().lanes, count = pixels.last - pixels.first;
  const int64_t groups = ceil_div(count, plan.rows);
  const tile_places places(g, pixels);
  const bool dense = g.output_step[3] == 1 && places.take(t);
  T* tile = reinterpret_cast<T*>(s.tile);
  multiply_args a = {};
  a.blocks = blocked ? ceil_div(plan.pass_steps, block) : 1;
  a.row_step = plan.reads_input ? g.stride[1] * g.input_step[2] : blocked ? block : 1;
  a.block_step = plan.reads_input ? block : blocked ? plan.pitch * block : plan.pitch;
  const T* const left = operand<T>(t, s, pixels.first);
  a.last_block = blocked ? plan.pass_steps - (a.blocks - 1) * block : plan.steps;
  a.passes = blocked ? g.multiplier : 1;
  a.lo = t.last.lo;
  a.hi = t.last.hi;
  const int64_t panel_size = plan.steps * plan.columns * static_cast<int64_t>(sizeof(T));  // fits: below the pack's size
  const int64_t blocks = a.blocks * a.passes;                                              // of k
  const int64_t share = blocked ? ceil_div(panel_size / 64, blocks * groups) : 0;  // of a panel's lines, of a micro-tile a block; fits
  const bool together = p1 - p0 <= plan.panels_together;
  const lines_ahead next = together ? next_input(t, pixels, groups, blocks * (p1 - p0)) : lines_ahead{};
  const auto& kernels = blocked ? t.products().filters : t.products().planar;
  const int64_t whole = plan.columns / lanes, least = count / groups, over = count % groups;
  // Panels whose tiles go straight to the output without more ado, as a row of tiles.
  const int64_t plain = dense && places.even() ? std::min(p1, g.filters() / plan.columns) : p0;
  T* const output = dense ? reinterpret_cast<T*>(t.output) + places(pixels.first).offset : nullptr;
  const auto run = [&](int64_t panel, int64_t end, int64_t group, int64_t first, int64_t rows) {
    const T* weights = static_cast<const T*>(t.pack->panels) + panel * plan.columns * plan.steps;  // a packed pair has the size of T
    const T* bias = static_cast<const T*>(t.pack->bias) + panel * plan.columns;
    a.broadcast = left + first * a.row_step;
    a.panels = std::min(end, plain) - panel;
    // Stores wait for lines that memory has to bring: those of two groups on, or, of many filters, of the next panel.
    a.output_ahead = rows * g.filters() <= 1024 ? 2 * rows * g.output_step[2] : plan.columns;  // fits: a group, or the pixels' step
    // Ahead of a micro-tile lie the panels that follow these, or the next tile's input.
    const char* const weights_end = reinterpret_cast<const char*>(weights) + (end - panel) * panel_size;  // fits: the size of the pack
    a.ahead_lines = end < p1 ? share : group < next.groups ? next.share : 0;
    const int64_t fetched = blocks * a.ahead_lines * 64;  // bytes, while it passes a panel; fits: about a panel, or a tile's input
    const char* ahead = (end < p1 ? weights_end : next.first) + (end - panel) * group * fetched;  // fits: likewise
    a.ahead = ahead;
    if (a.panels > 0) {
      a.lanes = weights;
      a.bias = bias;
      a.output = output + first * g.output_step[2] + panel * plan.columns;
      a.output_row = g.output_step[2];
      a.last_lanes = lanes;
      kernels[rows][whole](&a);
      panel += a.panels;
      weights += a.panels * plan.columns * plan.steps;
      bias += a.panels * plan.columns;
      ahead += a.panels * fetched;
    }
    a.panels = 1;
    for (; panel < end; ++panel, weights += plan.columns * plan.steps, bias += plan.columns, ahead += fetched) {
      a.ahead = ahead;
      const int64_t f = panel * plan.columns, filters = std::min(plan.columns, g.filters() - f);
      const int64_t vectors = ceil_div(filters, lanes), columns = vectors * lanes;
      a.lanes = weights;
      a.bias = bias;
      const bool straight = dense && (filters == columns || t.products().stores_parts);
      run_kernel(t, tile, kernels[rows][vectors], a, {pixels.first + first, rows, f, filters, columns, straight, false}, places);
    }
  };
  // What went straight to the output gets its activation while it is in L1: perhaps not a ragged panel.
  const auto activate = [&](int64_t panel, int64_t last, int64_t first, int64_t end) {
    const int64_t f = panel * plan.columns, ragged = (last - 1) * plan.columns, up_to = std::min(last * plan.columns, g.filters());
    const int64_t filters = (up_to % lanes && !t.products().stores_parts ? ragged : up_to) - f;
    if (dense) finish_rows(t, output + first * g.output_step[2] + f, g.output_step[2], end - first, filters);
  };
  // Without a ragged panel or a pass of activations between them, all groups of one size that fetch alike are one call.
  const bool follow = plain == p1 && !t.last.pass && together && blocked && least >= t.products().grouped_rows;
  const auto rows_of = [&](int64_t n) { return n * least + std::min(n, over); };  // the first n groups; fits: all have `count`
  // A few rows stay in L1 while they are multiplied by as many panels as stay in L2, which are read from one end to the other.
  for (int64_t panel = p0; panel < p1; panel += plan.panels_together) {
    const int64_t end = std::min(p1, panel + plan.panels_together);
    for (int64_t group = 0, last, done = 0; group < groups; group = last) {  // even ones, the longer first
      last = !follow ? group + 1 : group < over ? over : groups;
      if (group < next.groups) last = std::min(last, next.groups);
      a.groups = last - group;
      run(panel, end, group, rows_of(group), least + (group < over));
      const int64_t so_far = rows_of(last);
      if ((so_far - done) * (end - panel) * plan.columns >= 2048 || so_far == count) {
        activate(panel, end, done, so_far);
        done = so_far;
      }
    }
  }
}

// Lanes over pixels: columns are pixels of planar scratch, rows are filters.
template <class T>
void multiply_pixels(const task& t, const scratch& s, pixel_range pixels, int64_t p0, int64_t p1) {
  const geometry& g = t.geo();
  const schedule& plan = t.sched();
  const int64_t lanes = t.kernels().lanes, count = pixels.last - pixels.first;
  const tile_places places(g, pixels);
  const bool dense = g.output_step[2] == 1 && places.take(t);
  T* tile = reinterpret_cast<T*>(s.tile);
  multiply_args a = {};
  a.blocks = 1;
  a.last_block = plan.steps;
  a.passes = 1;
  a.lane_step = plan.reads_input ? g.input_step[3] : plan.pitch;
  const T* const right = operand<T>(t, s, pixels.first);
  a.lo = t.last.lo;
  a.hi = t.last.hi;
  // A few rows of weights stay in L1 while all pixels pass; those of whole columns that go straight to the output in a row.
  const int64_t plain = dense && places.even() ? count / plan.columns : 0, vectors = plan.columns / lanes;
  for (int64_t panel = p0; panel < p1; ++panel) {
    const int64_t f = panel * plan.rows, filters = std::min(plan.rows, g.filters() - f);
    a.broadcast = static_cast<const T*>(t.pack->panels) + panel * t.kernels().pixels_rows * plan.steps;
    a.bias = static_cast<const T*>(t.pack->bias) + f;
    T* const output = dense ? reinterpret_cast<T*>(t.output) + places(pixels.first).offset + f * g.output_step[3] : nullptr;
    a.lanes = right;
    a.output = output;
    a.output_row = g.output_step[3];
    a.last_lanes = lanes;
    a.panels = plain;
    if (plain > 0) t.products().pixels[filters][vectors](&a);
    a.panels = 1;
    int64_t straight = plain * plan.columns;  // pixels
    for (int64_t end = straight; end < count;) {
      const int64_t wide = ceil_div(std::min(plan.columns, count - end), lanes), columns = wide * lanes;
      const int64_t first = std::max<int64_t>(std::min(end, count - columns), 0);  // again a few pixels of the one before
      const int64_t here = std::min(columns, count - first);
      const bool goes = dense && (here == columns || t.products().stores_parts);
      a.lanes = right + first;
      end = first + here;
      run_kernel(t, tile, t.products().pixels[filters][wide], a, {pixels.first + first, here, f, filters, columns, goes, true}, places);
      if (goes) straight = end;
    }
    if (dense) finish_rows(t, output, g.output_step[3], filters, straight);
  }
}

}  // namespace

template <class T>
void multiply(const task& t, const scratch& s, pixel_range pixels, int64_t p0, int64_t p1) {
  if (t.sched().multiply == multiply_lanes::filters)
    multiply_filters<T>(t, s, pixels, p0, p1);
  else
    multiply_pixels<T>(t, s, pixels, p0, p1);
}

template void multiply<float>(const task&, const scratch&, pixel_range, int64_t, int64_t);
template void multiply<double>(const task&, const scratch&, pixel_range, int64_t, int64_t);

// Depthwise rows are in scratch, as pixels, in blocks or in planes: activation, then each row to its channel, multipliers interleaved.
template <class T>
void store_depthwise(const task& t, const scratch& s, pixel_range pixels) {
  const geometry& g = t.geo();
  const schedule& plan = t.sched();
  constexpr int64_t block = block_channels<T>;
  const store_tile_fn store = t.kernels().store_tile;
  const bool blocked = plan.gather == gather_lanes::channels;
  const int64_t blocks = blocked ? ceil_div(g.channels(), block) : g.depth, step = blocked ? block : 1;
  const int64_t count = pixels.last - pixels.first, line = plan.pitch * step;
  const ptrdiff_t element = static_cast<ptrdiff_t>(element_size(g.dtype)), channel = g.output_step[3];
  T* rows = reinterpret_cast<T*>(s.rows);
  if (plan.flat) {
    finish_rows(t, rows, 0, 1, count * g.depth);
    return store_buffer(t, rows, g.depth, pixels.first, count, 0, g.depth, false);
  }
  finish_rows(t, rows, line, blocked ? blocks * g.multiplier : blocks, count * step);
  for (int64_t first = 0; first < count;) {
    const pixel_place to = place(g, pixels.first + first);
    const int64_t here = std::min(count - first, to.run);
    const T* from = rows + first * step;
    const auto target = [&](int64_t pixel, int64_t k) {
      return t.output + (to.offset + pixel * g.output_step[2] + k * channel) * element;
    };
    if (!blocked) store(from, line, g.depth, here, target(0, 0), channel, g.output_step[2]);
    for (int64_t c = 0; blocked && c < g.channels(); c += block, from += line) {
      const int64_t channels = std::min(block, g.channels() - c);
      for (int64_t i = 0; i < here; ++i)
        store(from + i * block, blocks * line, g.multiplier, channels, target(i, c * g.multiplier), channel, channel * g.multiplier);
    }
    first += here;
  }
}

template void store_depthwise<float>(const task&, const scratch&, pixel_range);
template void store_depthwise<double>(const task&, const scratch&, pixel_range);

}  // namespace sepconv
