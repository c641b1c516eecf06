#include "plan/schedule.hpp"

#include <algorithm>
#include <cstdlib>

#include "kernels/kernel_types.hpp"
#include "plan/checked.hpp"
#include "plan/planes.hpp"

namespace sepconv {
namespace {

int64_t round_up(int64_t a, int64_t b, const char* what) { return checked_mul(ceil_div(a, b), b, what); }

bool channels_are_dense(const geometry& g) { return g.input_step[3] == 1 || g.channels() == 1; }

// Whether phase planes cost more than the lanes that few channels leave empty. Each channel fills its own: a vector of them takes as many
// loads as pixels are apart, up to 8, then one a lane (copy_line). The constants are measured.
bool planes_are_dear(const geometry& g, const kernel_set& k) {
  const int64_t step = g.stride[1] * g.input_step[2];  // fits: inside the input
  const double loads = static_cast<double>(phase_period(g.kernel[0], g.stride[0], g.dilation[0])) *
                       static_cast<double>(phase_period(g.kernel[1], g.stride[1], g.dilation[1])) *
                       static_cast<double>(step > 0 && step <= 8 ? step : std::max(k.lanes, 8));
  const int32_t store = g.multiplies() || g.multiplier == 1 ? 1 : 3;  // what lanes over channels leave to interleave
  const double sums = static_cast<double>(g.taps + 3) * static_cast<double>(g.multiplier) * store;
  return static_cast<double>(g.channels()) * loads > k.lanes / 2 * sums;
}

// Lanes over outputs: a bare depthwise convolution with several filters a channel, whose results would have to be interleaved otherwise.
// A vector of outputs reads one of inputs, so these must not lie too far apart.
bool permutes(const geometry& g, const kernel_set& k) {
  if (g.multiplies() || !k.filter_outputs || g.dilation[0] > 1) return false;
  // Where the other lanes are full, they win with many taps, or with nothing to interleave.
  const bool patch = g.kernel == pair{3, 3} && g.stride[0] == 1, wide = g.channels() >= k.lanes, few = g.channels() < k.lanes / 2;
  const bool many = g.taps >= 25, planes = few && g.stride[1] == 1;
  if (g.multiplier == 1 ? wide || (patch ? g.channels() == 1 : few) : many && (wide || planes)) return false;
  const int64_t others = k.lanes - 1;                                      // fits: constants
  const int64_t edges = ceil_div(others, g.depth);                         // fits: of pixels; depth is below 2^60
  const int64_t channels = ceil_div(others, g.multiplier);                 // fits: likewise
  return (g.stride[1] - 1) * g.channels() <= (others - channels) / edges;  // fits: inside the input, or two rows of it
}

// Lanes over channels need channels next to one another, and enough of them: with half of a vector or less, lanes over pixels win, unless
// rows of the image fill still less, since each filter more of a channel would read and fill them again, or unless planes are dear.
gather_lanes choose_gather(const geometry& g, const kernel_set& k) {
  if (!channels_are_dense(g)) return gather_lanes::pixels;
  if (permutes(g, k)) return gather_lanes::outputs;
  const int64_t least = g.multiplier > 1 ? g.channels() : 2 * g.channels();  // fits: sizes below 2^60 (make_geometry)
  const bool narrow = 2 * g.channels() <= k.lanes && g.output[2] > std::min<int64_t>(k.lanes / 2, least);  // fits: likewise
  return narrow && !planes_are_dear(g, k) ? gather_lanes::pixels : gather_lanes::channels;
}

// Channels that lie apart take lanes over channels after all where transposing blocks of them on their way in and out costs less than what
// planes lose: to strides, to short rows, or to more taps than registers hold, whose rows have to be loaded for each. Rows of seven have a
// filter of their own over channels. The constants are measured with 8 lanes.
bool turns_blocks(const geometry& g, const kernel_set& k, gather_lanes gather) {
  const int64_t block = 64 / static_cast<int64_t>(sum_size(g.dtype)), taps = std::min<int64_t>(g.taps, 1000);
  const int64_t width = std::min(k.lanes, 8) * ((taps > 9 ? 24 : 10) + taps / 2) / 8;  // fits: constants
  const bool loses = g.stride[1] > 1 || g.output[2] <= width || (k.lanes >= 8 && g.kernel[1] == 7);
  return gather == gather_lanes::pixels && g.channels() > block / 2 && loses;
}

// Lanes over pixels finish rows of channels_first images without a transpose, and are full where filters are few. A small image leaves many
// of them idle, which costs more than transposes the more channels are summed, and has heavy weights read for few pixels.
multiply_lanes choose_multiply(const geometry& g, const kernel_set& k, gather_lanes gather) {
  if (!g.multiplies()) return multiply_lanes::none;
  const bool few = 2 * g.filters() <= k.lanes;  // fits: sizes below 2^60 (make_geometry)
  const bool rows_are_dense = g.output_step[2] == 1 && g.filters() > 1;
  const bool light = g.op == SEPCONV_POINTWISE && g.stride[1] == 1 && g.channels() <= (1 << 16) / g.filters();  // fits: constants
  const bool large = g.image_pixels >= (light ? 32 : k.lanes < 16 ? 12 * 12 : 15 * 15);  // fits: constants
  const auto fills = [&] {
    const int64_t columns = std::min(k.pixels_vectors, k.pixels_sums / k.pixels_rows) * k.lanes;  // fits: constants
    const int64_t idle = round_up(g.image_pixels, columns, "pixels") - g.image_pixels;
    const int64_t most = std::min((3 << 14) / g.image_pixels, (1 << 19) / g.filters());  // for the sizes of rows and weights
    return g.image_pixels >= 32 && g.channels() <= most && g.channels() * idle <= 24 * g.image_pixels;  // fits: small images, constants
  };
  const bool filters_are_dense = g.output_step[3] == 1;
  return gather == gather_lanes::pixels && (large || fills()) && (few || (rows_are_dense && !filters_are_dense)) ? multiply_lanes::pixels
                                                                                                         : multiply_lanes::filters;
}

// Of a 1x1 convolution: how many of the pixels that it reads lie evenly, from any multiple of their number on.
int64_t even_pixels(const geometry& g) {
  const bool all = g.output[1] == g.input[1] && g.output[2] == g.input[2];
  if (!all || (g.input[1] > 1 && g.input_step[1] != g.input[2] * g.input_step[2])) return g.output[2];  // fits: inside the input
  if (g.batch() == 1 || g.input_step[0] == g.image_pixels * g.input_step[2]) return g.pixels;           // fits: likewise
  for (int64_t parts = std::max<int64_t>(ceil_div(g.image_pixels, 512), 1), i = 0; i < 64; ++i, ++parts)  // for threads to share
    if (g.image_pixels % parts == 0) return g.image_pixels / parts;
  return g.output[2];
}

// Whether a 1x1 convolution reads no padding.
bool reads_no_padding(const geometry& g) {
  for (std::size_t i : {0, 1})
    if (g.pad_before[i] > 0 || (g.output[i + 1] - 1) * g.stride[i] >= g.input[i + 1]) return false;  // fits: checked in make_geometry
  return g.op == SEPCONV_POINTWISE;
}

// A 1x1 convolution is a product already, of pixels that lie evenly and are more than a micro-tile or two: of channels next to one another,
// where kernels step over rows, or of pixels. Of few channels and filters, lanes over pixels make more. Those read whole vectors, and planes
// that don't compete for one set of L1.
bool reads_input_directly(const geometry& g, const kernel_set& k) {
  const bool few = 2 * std::max(g.channels(), g.filters()) <= k.lanes;                                       // fits: below 2^60
  const bool blocked = channels_are_dense(g) && k.steps_over_rows && !few;
  const bool over_pixels = choose_multiply(g, k, gather_lanes::pixels) == multiply_lanes::pixels;
  const bool fills = even_pixels(g) >= k.pixels_vectors * k.lanes;                                 // fits: constants
  const bool lie_apart = !channels_are_dense(g) && !crowds(g.input_step[3], element_size(g.dtype), 4096);
  const bool planar = lie_apart && g.input_step[2] == 1 && g.stride[1] == 1 && over_pixels && fills;
  const bool enough = even_pixels(g) == g.pixels || even_pixels(g) >= 2 * k.filters_rows;  // fits: constants
  return reads_no_padding(g) && (blocked || planar) && enough && !g.pairs && stores_sums(g.dtype);
}

bool finishes_in_registers(const sepconv_activation& a) { return a.kind <= SEPCONV_HARD_TANH; }

// Lanes over channels store whole pixels, so activations can follow on the finished, contiguous rows.
bool writes_output_directly(const geometry& g, gather_lanes gather) {
  if (g.multiplies() || !stores_sums(g.dtype) || !finishes_in_registers(g.activation)) return false;
  if (gather == gather_lanes::pixels) return g.output_step[2] == 1 || g.output[2] == 1;
  if (gather == gather_lanes::outputs) return g.output_step[3] == 1 && (g.output_step[2] == g.depth || g.output[2] == 1);
  return g.multiplier == 1 && (g.output_step[3] == 1 || g.channels() == 1);
}

// Pixels a multiple of 4 KiB apart share one set of L1, so that a bare filter, which has no other work to hide it, waits for L2 at each
// load. Where an image isn't far away, a group of its channels is copied first.
bool crowded_and_near(const geometry& g, int64_t l2) {
  const int64_t pixel = std::abs(g.input_step[2]) * static_cast<int64_t>(element_size(g.dtype));  // fits: inside the input
  const bool near = g.input[1] * g.input[2] <= 2 * l2 / std::max<int64_t>(pixel, 1);  // fits: likewise
  return !g.multiplies() && g.taps > 1 && g.stride == pair{1, 1} && g.image_pixels >= 32 && pixel > 0 && crowds(pixel, 1, 4096) && near;
}

// Small problems stay on one thread: a region costs about a microsecond, and 2 Mflop take ten.
int32_t choose_threads(const geometry& g, int32_t threads) {
  const double useful = flops(g) / 2e5;
  return useful < 2 ? 1 : static_cast<int32_t>(std::min<double>(threads, useful));
}

std::size_t aligned(int64_t size) {
  return static_cast<std::size_t>(round_up(size, 64, "workspace"));
}

}  // namespace

bool may_fetch_ahead(const geometry& g) { return g.stride[1] == 1 || !crowds(g.input_step[2], element_size(g.dtype), 512); }

tile_shape filters_tile(const multiply_set& k, int64_t filters) {
  const int64_t usual = k.filters_sums / k.filters_rows, vectors = ceil_div(std::max<int64_t>(filters, 1), k.lanes), most = k.filters_vectors;
  // A vector alone has too few sums to keep multipliers busy. Of many it is a small part, and wide tiles read weights more often.
  const bool wide = most > usual && vectors % usual == 1 && vectors % most != 1 && vectors < 16;
  return {wide ? k.filters_sums / most : k.filters_rows, wide ? most : usual};
}

schedule make_schedule(const geometry& g, const kernel_set& k, const machine& m, const pair_set* pairs) {
  schedule s = {};
  const int64_t element = static_cast<int64_t>(sum_size(g.dtype));
  const int64_t block = 64 / element;
  s.reads_input = reads_input_directly(g, k);
  s.gather = s.reads_input && channels_are_dense(g) ? gather_lanes::channels : choose_gather(g, k);
  s.multiply = choose_multiply(g, k, s.gather);
  s.copies_pixels = !s.reads_input && s.gather == gather_lanes::pixels && g.stride[1] == 1 && reads_no_padding(g);
  s.turns = !s.reads_input && !s.copies_pixels && turns_blocks(g, k, s.gather);
  // A multiply over filters takes blocks as they are on the way.
  const bool blocks = s.multiply == multiply_lanes::filters && (s.copies_pixels || s.turns);
  if (blocks) s.gather = gather_lanes::channels, s.turns = false;
  s.direct = writes_output_directly(g, s.gather);
  s.flat = !s.direct && !g.multiplies() && s.gather != gather_lanes::pixels && (g.multiplier == 1 || s.gather == gather_lanes::outputs);
  const bool planar = s.gather == gather_lanes::pixels, copies = s.gather != gather_lanes::channels;
  const bool stored_narrow = element_size(g.dtype) < sum_size(g.dtype);
  s.copies_input = !copies && !s.copies_pixels && (blocks || stored_narrow || crowded_and_near(g, static_cast<int64_t>(m.l2_size)));
  s.threads = choose_threads(g, m.threads);
  const bool over_pixels = s.multiply == multiply_lanes::pixels;
  const multiply_set& products = pairs ? static_cast<const multiply_set&>(*pairs) : k;
  const int64_t groups = ceil_div(std::max<int64_t>(g.filters(), 1), products.pixels_rows);
  const tile_shape shape = filters_tile(products, g.filters());
  s.rows = over_pixels ? ceil_div(g.filters(), groups) : shape.rows;  // filters in even panels
  const int64_t vectors = over_pixels ? std::min<int64_t>(products.pixels_vectors, products.pixels_sums / s.rows) : shape.vectors;
  s.columns = vectors * k.lanes;                           // fits: constants
  const int64_t micro = over_pixels ? s.columns : s.rows;  // pixels of a micro-tile

  const int64_t depth =
      copies ? g.depth : checked_mul(round_up(g.channels(), block, "channels"), g.multiplier, "multiplier");

  // Fewer pixels first: the patch matrix takes at most a third of L2; two of them, and is read from L3, where weights come from beyond that
  // for every tile. At least four micro-tiles a tile, so that weights are reused; at most eight rows or 512 pixels, in whole rows, since the
  // rows around a tile are read again for the next; where planes go straight to the output, as many rows as L2 holds of one, or of the
  // input of a block. About four tiles a thread, or one of planes, or one where pixels are few.
  const int64_t row_size = checked_mul(depth, element, "workspace");
  s.pass_steps = !pairs ? g.channels() : pairs->packed ? ceil_div(g.channels(), 2) : round_up(g.channels(), 2, "channels");
  s.steps = checked_mul(s.pass_steps, g.multiplier, "multiplier");
  const int64_t pair_depth = planar ? s.steps : checked_mul(round_up(s.pass_steps, block, "channels"), g.multiplier, "multiplier");
  const int64_t pair_size = pairs ? checked_mul(pair_depth, element, "workspace") : 0;
  const int64_t l2 = static_cast<int64_t>(m.l2_size);
  const bool afar = g.multiplies() && row_size > 8 * l2 / std::max<int64_t>(g.filters(), 1);       // fits: of a cache
  const int64_t fits = std::max<int64_t>((afar ? 2 * l2 : l2 / 3) / checked_add(row_size, pair_size, "workspace"), 1);  // fits: likewise
  const int64_t least = 4 * micro;  // fits: constants
  const int64_t threads = s.threads;
  const bool scarce = threads > 1 && g.pixels < 2 * least * threads;  // fits: threads has 32 bits
  const bool apart = s.direct && planar;
  const int64_t most = !apart    ? std::clamp<int64_t>(8 * g.output[2], 512, 4096)  // fits: below 2^60
                       : s.turns ? std::max<int64_t>(l2 / 256 / g.stride[0] / g.stride[1], 1)
                                 : std::max<int64_t>(l2 / 16 / element, 4096);
  int64_t pixels = s.direct ? most : std::clamp<int64_t>(fits, micro, most);
  const int64_t quantum = g.output[2] > micro && g.output[2] <= pixels ? g.output[2] : micro;
  if (threads > 1 && !scarce) pixels = std::min(pixels, std::max(least, ceil_div(g.pixels, apart ? threads : 4 * threads)));  // fits: likewise
  pixels = std::min(std::max<int64_t>(pixels / quantum, 1) * quantum, std::max<int64_t>(g.pixels, 1));  // fits: at most `most` or quantum
  s.tiles = ceil_div(g.pixels, pixels);

  // Threads share the filters instead, and the patch matrix: with less than a micro-tile each; where memory sets the pace of the weights, so
  // that each reads a part of them; or with more weight than input, if nothing is gathered or planes of few pixels would share cache lines.
  // But only for weights that a thread can't keep in its cache, since what another one gathered has to come from there.
  const int64_t panels = s.multiply == multiply_lanes::filters ? ceil_div(g.filters(), s.columns) : 0;
  const int64_t filters = std::max<int64_t>(g.filters(), 1);
  const bool heavy = row_size > l2 / 2 / filters, far_off = row_size > 16 * l2 / filters;  // fits: of a cache
  const bool better = far_off || (g.filters() > g.pixels && (s.reads_input || g.output_step[3] != 1));
  const bool few = threads > 1 && (g.pixels < micro * threads || better) && panels >= 2 * threads;  // fits: threads has 32 bits
  s.threads_split = few && (heavy || g.pixels < 4 * threads) ? split::filters : split::pixels;  // fits: likewise
  if (s.threads_split == split::filters) {
    const int64_t room = std::max<int64_t>(fits * threads, quantum);  // fits: pixels in L2, times 32 bits
    pixels = std::min<int64_t>(g.pixels, std::min<int64_t>(room, 512));
  } else if (s.tiles < 8 * threads) {  // fits: likewise; as many as threads can share evenly
    const int64_t even = round_up(std::max<int64_t>(s.tiles, 1), threads, "tiles");
    const bool whole_rows = (copies || s.copies_input) && quantum > micro;  // planes, lines and windows of whole ones
    const int64_t grain = whole_rows ? quantum : over_pixels ? s.columns : 1;
    pixels = std::min(pixels, std::max<int64_t>(ceil_div(ceil_div(g.pixels, even), grain), 1) * grain);  // fits: below pixels + quantum
  }
  if (over_pixels && !s.reads_input) {
    // The tiles with which the thread that has most of them is done first, in pixels' time: lanes that idle behind a tile, weights that pass,
    // rows around it that are gathered again. A vector alone takes half a vector's time more, a gathered pixel that of 20 filters.
    const int64_t grain = quantum > micro ? quantum : s.columns, width = std::min(g.output[2], g.input[2]);
    const double around = static_cast<double>((g.kernel[0] - 1) * g.dilation[0]) * static_cast<double>(width);  // fits: checked in make_geometry
    const auto time = [&](int64_t n) {
      const int64_t over = n % s.columns, whole = n - over + ceil_div(over, k.lanes) * k.lanes;  // fits: below the pixels and a micro-tile
      const double computed = static_cast<double>(over > 0 && over <= k.lanes ? whole + k.lanes / 2 : whole);
      const double gathered = static_cast<double>(n) + around;
      return n == 0 ? 0 : computed + 3 + 20 * gathered / static_cast<double>(g.filters());
    };
    double least_time = 0;
    const int64_t room = std::min(fits, most), largest = std::max(pixels, room - room % grain);
    for (int64_t size = largest - largest % grain; size >= grain && size > largest / 4; size -= grain) {
      const int64_t full = g.pixels / size, each = full / threads;
      const double longest = std::max(time(size) * static_cast<double>(each + (full % threads > 0)),
                                      time(size) * static_cast<double>(each) + time(g.pixels % size));
      if (least_time == 0 || longest < least_time) least_time = longest, pixels = size;
    }
  }
  if (s.reads_input && even_pixels(g) < g.pixels) pixels = even_pixels(g);
  // Where lanes are pixels of the input, the last tile has no less than a micro-tile: it takes the rest.
  s.tiles = s.reads_input && over_pixels ? std::max<int64_t>(g.pixels / pixels, 1) : ceil_div(g.pixels, pixels);
  s.tile_pixels = pixels;
  // Weights stay in L2 while a tile's rows pass: all of them, or a good part of it at a time. Where L2 is small, L3 is near, and so much may
  // as well come from there.
  const int64_t weights = checked_mul(checked_mul(s.steps, s.columns, "filters"), element, "filters");
  const bool small = l2 <= 512 << 10;
  const int64_t together = (small ? 8 * l2 : l2 / 2) / std::max<int64_t>(weights, 1);                  // fits: of a small one
  const int64_t part = std::max<int64_t>((small ? 3 * l2 / 4 : l2 / 4) / std::max<int64_t>(weights, 1), 1);  // fits: likewise
  s.panels_together = together >= panels ? std::max<int64_t>(panels, 1) : part;
  s.channel_group = 256;
  const int64_t input_size = checked_mul(checked_mul(g.input[1], g.input[2], "input"), checked_mul(g.channels(), element, "input"), "input");
  s.fetches_input = !s.copies_input && input_size > l2 && may_fetch_ahead(g);
  const bool far_away = s.direct && input_size > 3 * l2;  // fits: of a cache
  s.pixels_ahead = far_away ? pixels_ahead(g.output_step[2], element_size(g.dtype)) : 0;
  // While a tile is multiplied, memory has time for the next one's input, if it is contiguous.
  const bool contiguous = g.input_step[3] == 1 && g.input_step[2] == g.channels() && g.input_step[1] == g.input[2] * g.channels();  // fits
  const bool outside = static_cast<double>(input_size) * static_cast<double>(g.batch()) > static_cast<double>(l2);
  s.fetches_next = s.multiply == multiply_lanes::filters && !s.reads_input && contiguous && outside;
  // An odd number of cache lines, so that the planes or blocks of one pixel don't compete for the same sets of L1.
  const int64_t lines = planar ? ceil_div(round_up(pixels, over_pixels ? s.columns : k.lanes, "workspace"), block) : pixels;
  s.pitch = checked_mul((lines | 1), planar ? block : 1, "workspace");

  if (!s.direct && !s.reads_input) s.scratch_size = aligned(checked_mul(s.pitch, row_size, "workspace"));
  s.pairs_size = aligned(checked_mul(s.pitch, pair_size, "workspace"));
  const int64_t rows = pixels < g.output[2] ? 1 : std::min(g.output[1], ceil_div(pixels - 1, g.output[2]) + 1);  // see gather()
  const int64_t columns = std::min(g.output[2], pixels);
  const auto read = [&](int axis, int64_t outputs) {  // fits: checked in make_geometry
    return std::min(g.input[axis + 1], (outputs - 1) * g.stride[axis] + (g.kernel[axis] - 1) * g.dilation[axis] + 1);  // fits
  };
  if (s.copies_pixels) {
    s.planes_size = aligned(64 * block * element);  // fits: constants
  } else if (s.turns) {
    // The window, a vector beyond, its rows, lines.
    const int64_t all = checked_add(checked_mul(read(0, rows), read(1, columns), "workspace"), pixels + 65, "workspace");  // fits: below 2^60
    s.planes_size = aligned(checked_mul(all, block * element, "workspace"));                                               // fits: a cache line
  } else if (s.gather == gather_lanes::pixels && !s.reads_input) {
    const plane_layout planes = make_planes(g, rows, columns);
    const int64_t area = checked_mul(planes.rows, planes.pitch, "workspace");
    const int64_t all = checked_mul(checked_mul(planes.row_planes, planes.column_planes, "workspace"), area, "workspace");
    s.planes_size = aligned(checked_mul(checked_add(all, block, "workspace"), element, "workspace"));  // and a vector beyond
    s.short_rows = rows > 1 && g.output[2] < 8 * k.lanes;  // fits: constants
    if (s.short_rows) s.wide_size = aligned(checked_mul(checked_mul(rows, planes.pitch, "workspace"), element, "workspace"));
    s.offsets_size = aligned(checked_mul(g.taps, int64_t{8}, "kernel"));
  }
  if (s.gather == gather_lanes::outputs) {
    const line_layout lines = make_lines(g, rows, columns);
    const int64_t all = checked_mul(lines.rows, checked_mul(lines.columns, g.channels(), "workspace"), "workspace");
    s.planes_size = aligned(checked_mul(checked_add(all, block, "workspace"), element, "workspace"));  // and a vector beyond
    s.offsets_size = aligned(checked_mul(g.taps, int64_t{8}, "kernel"));
  }
  if (s.copies_input) {  // of a group: the window, a vector beyond, lines
    const int64_t area = checked_mul(checked_mul(read(0, rows), read(1, columns), "workspace"), element, "workspace");
    const int64_t room = l2 / 4 / std::max<int64_t>(area, 1) / block * block;  // fits: rounds down
    s.channel_group = std::clamp<int64_t>(room, block, s.channel_group);
    const int64_t widened = checked_mul(area, std::min(s.channel_group, g.channels()), "workspace");
    const int64_t lines = blocks ? 64 * s.channel_group : 0;                                                    // fits: constants
    s.planes_size = aligned(checked_add(widened, checked_mul(block + lines, element, "workspace"), "workspace"));  // fits: constants
  }
  if (g.multiplies()) s.tile_size = aligned(s.rows * s.columns * element);  // fits: constants

  std::size_t worker = s.planes_size;
  for (std::size_t part : {s.wide_size, s.offsets_size, s.tile_size}) worker = checked_add(worker, part, "workspace");
  const std::size_t of_tile = checked_add(s.scratch_size, s.pairs_size, "workspace");
  if (s.threads_split == split::filters)
    s.shared_size = of_tile;
  else
    worker = checked_add(worker, of_tile, "workspace");
  s.worker_size = worker;
  checked_add(checked_mul(s.worker_size, static_cast<std::size_t>(s.threads), "workspace"), s.shared_size, "workspace");
  return s;
}

std::size_t workspace_size(const schedule& s) {
  return s.shared_size + s.worker_size * static_cast<std::size_t>(s.threads);  // fits: checked in make_schedule
}

}  // namespace sepconv
