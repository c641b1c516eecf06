// The schedule is a pure function; what must hold for any geometry, micro-tile, cache and number of threads.
#include "plan/schedule.hpp"

#include "cases.hpp"
#include "kernels/kernel_types.hpp"
#include "plan/planes.hpp"

using namespace test;
using sepconv::gather_lanes;
using sepconv::machine;
using sepconv::multiply_lanes;
using sepconv::schedule;
using sepconv::split;

namespace {

const sepconv::kernel_set& kernels_of(const std::string& isa, int32_t dtype) { return *sepconv::find_isa(isa.c_str()).sets[dtype]; }

void check(const sepconv::geometry& g, const schedule& s, const sepconv::kernel_set& k, const machine& m) {
  const int64_t element = static_cast<int64_t>(sepconv::sum_size(g.dtype));
  // Tiles cover every pixel once. The last takes the rest if lanes read pixels where they lie, which needs whole vectors of them.
  const bool rest = s.reads_input && s.multiply == multiply_lanes::pixels;
  EXPECT_GE(s.tile_pixels, rest ? s.columns : 1);
  EXPECT_EQ(s.tiles, rest ? g.pixels / s.tile_pixels : (g.pixels + s.tile_pixels - 1) / s.tile_pixels);
  EXPECT_GE(s.pitch, s.tile_pixels);
  EXPECT_GE(s.threads, 1);
  EXPECT_LE(s.threads, m.threads);
  // Pairs are whole.
  EXPECT_EQ(s.steps, s.pass_steps * g.multiplier);
  if (!g.pairs) {
    EXPECT_EQ(s.pass_steps, g.channels());
  } else if (s.pass_steps != (g.channels() + 1) / 2) {
    EXPECT_EQ(s.pass_steps, (g.channels() + 1) / 2 * 2);
  }
  // The micro-tile is one that the kernels have.
  if (s.multiply == multiply_lanes::filters) {
    EXPECT_NE(k.filters[s.rows][s.columns / k.lanes], nullptr);
  } else if (s.multiply == multiply_lanes::pixels) {
    EXPECT_NE(k.pixels[s.rows][s.columns / k.lanes], nullptr);
    EXPECT_GE(s.pitch, (s.tile_pixels + k.lanes - 1) / k.lanes * k.lanes);  // whole vectors are read from planar scratch
    EXPECT_EQ(s.gather, gather_lanes::pixels);
  }
  EXPECT_EQ(s.multiply == multiply_lanes::none, g.op == SEPCONV_DEPTHWISE);
  EXPECT_EQ(s.channel_group % (64 / element), 0);
  // Lanes over channels read neighbours.
  if (s.gather == gather_lanes::channels) {
    EXPECT_TRUE(g.input_step[3] == 1 || g.channels() == 1 || s.copies_input || s.copies_pixels);
  }
  // Lanes over outputs read neighbours that lie within a vector.
  if (s.gather == gather_lanes::outputs) {
    EXPECT_EQ(g.op, SEPCONV_DEPTHWISE);
    EXPECT_NE(k.filter_outputs, nullptr);
    EXPECT_TRUE(g.input_step[3] == 1 || g.channels() == 1);
    for (int64_t first = 0; first < g.depth * k.lanes; first += k.lanes) {
      const auto read = [&](int64_t output) { return output / g.depth * g.stride[1] * g.channels() + output % g.depth / g.multiplier; };
      EXPECT_LT(read(first + k.lanes - 1) - read(first), k.lanes);
    }
    EXPECT_GE(s.offsets_size, static_cast<std::size_t>(g.taps * 8));
    const int64_t width = g.output[2], rows = s.tile_pixels < width ? 1 : std::min(g.output[1], (s.tile_pixels + width - 2) / width + 1);
    const sepconv::line_layout lines = sepconv::make_lines(g, rows, std::min(width, s.tile_pixels));
    EXPECT_GE(s.planes_size, static_cast<std::size_t>((lines.elements() + k.lanes) * element));
  }
  // Straight to the output only where nothing is left to do.
  if (s.direct) {
    EXPECT_EQ(s.multiply, multiply_lanes::none);
    EXPECT_EQ(sepconv::sum_size(g.dtype), sepconv::element_size(g.dtype));
    EXPECT_EQ(s.scratch_size, 0u);
  }
  if (s.threads_split == split::filters) {
    EXPECT_GT(s.threads, 1);
  }
  // Parts of the workspace keep 64-byte alignment, and hold what is put there.
  for (std::size_t size : {s.shared_size, s.worker_size, s.scratch_size, s.pairs_size, s.planes_size, s.wide_size, s.tile_size, s.offsets_size})
    EXPECT_EQ(size % 64, 0u);
  const std::size_t parts = s.planes_size + s.wide_size + s.tile_size + s.offsets_size;
  EXPECT_EQ(s.shared_size + s.worker_size, parts + s.scratch_size + s.pairs_size);
  EXPECT_EQ(sepconv::workspace_size(s), s.shared_size + s.worker_size * static_cast<std::size_t>(s.threads));
  if (s.reads_input) {
    EXPECT_EQ(g.op, SEPCONV_POINTWISE);
    EXPECT_EQ(s.scratch_size, 0u);
    EXPECT_TRUE(g.stride[1] == 1 || g.pixels == g.output[2] || g.output[2] % s.tile_pixels == 0) << "pixels of a row lie evenly";
  } else if (!s.direct) {
    EXPECT_GE(s.scratch_size, static_cast<std::size_t>(s.pitch * g.depth * element));
  }
  EXPECT_EQ(s.pairs_size > 0, g.pairs);
  if (g.pairs) {
    EXPECT_GE(s.pairs_size, static_cast<std::size_t>(s.pitch * s.steps * element));
  }
  if (g.multiplies()) {
    EXPECT_GE(s.tile_size, static_cast<std::size_t>(s.rows * s.columns * element));
  }
  // Whatever piece of an image a tile can be: all rows that it touches, or part of one.
  const int64_t width = g.output[2], rows = s.tile_pixels < width ? 1 : std::min(g.output[1], (s.tile_pixels + width - 2) / width + 1);
  const auto seen = [&](int axis, int64_t outputs) {
    return std::min(g.input[axis + 1], (outputs - 1) * g.stride[axis] + (g.kernel[axis] - 1) * g.dilation[axis] + 1);
  };
  const int64_t window = seen(0, rows) * seen(1, std::min(width, s.tile_pixels));
  if (s.copies_pixels) {
    EXPECT_EQ(g.op, SEPCONV_POINTWISE);
    EXPECT_GE(s.planes_size, 64U * 64);  // what load_pixels takes, of a block of channels
  } else if (s.copies_input) {
    const int64_t group = std::min(s.channel_group, g.channels()), apart = g.input_step[3] != 1 && g.channels() > 1;
    EXPECT_GE(s.planes_size, static_cast<std::size_t>(((window + 64 * apart) * group + 64 / element) * element));
  } else if (s.turns) {
    EXPECT_EQ(s.gather, gather_lanes::pixels);
    // The window, its outputs, and what load_pixels takes, of a block of channels.
    EXPECT_GE(s.planes_size, static_cast<std::size_t>((window + s.tile_pixels + 64) * 64));
  } else if (s.gather == gather_lanes::pixels && !s.reads_input) {
    EXPECT_GE(s.offsets_size, static_cast<std::size_t>(g.taps * 8));
    // Phase planes fit.
    const sepconv::plane_layout planes = sepconv::make_planes(g, rows, std::min(width, s.tile_pixels));
    EXPECT_GE(s.planes_size, static_cast<std::size_t>(planes.elements() * element));
  }
  // Half of L2 for scratch, two where weights are more than eight, unless the least that a micro-tile takes is more; threads that split
  // filters pool theirs.
  if (s.threads_split == split::pixels && !s.direct) {
    const int64_t block = 64 / element, lanes = std::max<int64_t>(s.columns, s.rows);
    const int64_t row = ((g.channels() + block - 1) / block * block) * g.multiplier * element;
    const int64_t l2 = static_cast<int64_t>(m.l2_size), most = g.multiplies() && row * g.filters() > 8 * l2 ? 2 * l2 : l2 / 2;
    EXPECT_LE(static_cast<int64_t>(s.scratch_size + s.pairs_size), most + (2 * lanes + 64) * (g.pairs ? 2 : 1) * row);
  }
}

}  // namespace

TEST(schedule, holds_for_any_geometry_kernels_caches_and_threads) {
  generator r(43);
  const int64_t cases = sample(20000);
  bool seen[3][3][2] = {};
  for (int64_t i = 0; i < cases && !HasFailure(); ++i) {
    sepconv_spec spec = draw_case(i, 43);
    if (r.one_in(2)) spec.input_shape[1] = r.between(spec.input_shape[1], 300);
    if (r.one_in(2)) spec.input_shape[2] = r.between(spec.input_shape[2], 300);
    if (r.one_in(4)) spec.input_shape[3] = r.between(1, 3000);
    if (r.one_in(2)) spec.filters = r.between(1, 2000);
    if (spec.layout == SEPCONV_STRIDED) {
      spec.layout = SEPCONV_CHANNELS_LAST;
      const quad out = output_shape(spec);
      spec.layout = SEPCONV_STRIDED;
      draw_strides(r, spec.input_shape, spec.input_strides);
      draw_strides(r, out.data(), spec.output_strides);
    }
    if (spec.dtype != SEPCONV_FLOAT64 && r.one_in(3)) spec.precision = SEPCONV_PRECISION_BFLOAT16;
    const std::string& isa = isas()[static_cast<std::size_t>(r.between(0, static_cast<int64_t>(isas().size()) - 1))];
    const machine m = {static_cast<std::size_t>(r.between(16, 128)) << 10, static_cast<std::size_t>(r.between(256, 4096)) << 10,
                       static_cast<int32_t>(r.between(1, 64))};
    const sepconv::geometry g = sepconv::make_geometry(spec);
    const sepconv::kernel_set& k = kernels_of(isa, spec.dtype);
    const sepconv::pair_set* pairs = g.pairs ? sepconv::find_isa(isa.c_str()).pairs : nullptr;
    const schedule s = sepconv::make_schedule(g, k, m, pairs);
    check(g, s, k, m);
    if (HasFailure()) ADD_FAILURE() << isa << ' ' << describe(spec) << ", L2 " << m.l2_size << ", " << m.threads << " threads";
    const schedule again = sepconv::make_schedule(g, k, m, pairs);
    EXPECT_EQ(sepconv::workspace_size(again), sepconv::workspace_size(s));
    EXPECT_EQ(again.tile_pixels, s.tile_pixels);
    seen[static_cast<int>(s.gather)][static_cast<int>(s.multiply)][static_cast<int>(s.threads_split)] = true;
  }
  // The cases reach every role.
  EXPECT_TRUE(seen[0][0][0] && seen[1][0][0]) << "depthwise";
  EXPECT_EQ(seen[2][0][0], kernels_of(isas()[0], SEPCONV_FLOAT32).filter_outputs != nullptr) << "lanes over outputs";
  EXPECT_TRUE(seen[0][1][0] && seen[1][1][0]) << "lanes over filters";
  EXPECT_TRUE(seen[0][1][1]) << "threads split filters";
}

TEST(schedule, small_problems_stay_on_one_thread) {
  const sepconv_spec spec = spec_of(SEPCONV_SEPARABLE, {1, 8, 8, 16}, 16);
  const sepconv::kernel_set& k = kernels_of(isas()[0], SEPCONV_FLOAT32);
  EXPECT_EQ(sepconv::make_schedule(sepconv::make_geometry(spec), k, {32 << 10, 1 << 20, 64}).threads, 1);
}

TEST(schedule, large_images_in_channels_first_keep_lanes_over_pixels) {
  sepconv_spec spec = spec_of(SEPCONV_SEPARABLE, {1, 56, 56, 64}, 64);
  spec.layout = SEPCONV_CHANNELS_FIRST;
  const sepconv::kernel_set& k = kernels_of(isas()[0], SEPCONV_FLOAT32);
  const schedule s = sepconv::make_schedule(sepconv::make_geometry(spec), k, {32 << 10, 1 << 20, 1});
  EXPECT_EQ(s.gather, gather_lanes::pixels);
  EXPECT_EQ(s.multiply, multiply_lanes::pixels);
}

// Planes of a 1x1 convolution are what the multiply reads, unless they compete for one set of L1.
TEST(schedule, channels_first_pixels_are_read_where_they_lie) {
  sepconv_spec spec = spec_of(SEPCONV_POINTWISE, {8, 28, 28, 64}, 24);
  spec.layout = SEPCONV_CHANNELS_FIRST;
  const sepconv::kernel_set& k = kernels_of(isas()[0], SEPCONV_FLOAT32);
  const auto make = [&] { return sepconv::make_schedule(sepconv::make_geometry(spec), k, {32 << 10, 1 << 20, 1}); };
  EXPECT_TRUE(make().reads_input);
  EXPECT_EQ(make().tile_pixels, 392);  // half an image
  spec.input_shape[1] = spec.input_shape[2] = 32;
  EXPECT_FALSE(make().reads_input);
}

// Weights that no cache near holds are read as often as there are tiles.
TEST(schedule, weights_from_afar_are_read_once) {
  sepconv_spec spec = spec_of(SEPCONV_SEPARABLE, {1, 10, 10, 1536}, 2048);
  const sepconv::kernel_set& k = kernels_of(isas()[0], SEPCONV_FLOAT32);
  const auto tiles = [&] { return sepconv::make_schedule(sepconv::make_geometry(spec), k, {32 << 10, 512 << 10, 1}).tiles; };
  EXPECT_EQ(tiles(), 1);
  spec.filters = 256;
  EXPECT_GT(tiles(), 1);
}

// Planes of one channel are for long rows, and for channels that don't fill a block.
TEST(schedule, short_rows_and_strides_in_channels_first_turn_blocks_of_channels) {
  sepconv_spec spec = spec_of(SEPCONV_DEPTHWISE, {1, 56, 56, 64});
  spec.layout = SEPCONV_CHANNELS_FIRST;
  spec.kernel[0] = spec.kernel[1] = 3;
  const sepconv::kernel_set& k = kernels_of(isas()[0], SEPCONV_FLOAT32);
  const auto turns = [&] { return sepconv::make_schedule(sepconv::make_geometry(spec), k, {32 << 10, 1 << 20, 1}).turns; };
  EXPECT_FALSE(turns());
  spec.stride[0] = spec.stride[1] = 2;
  EXPECT_TRUE(turns());
  spec.input_shape[3] = 8;
  EXPECT_FALSE(turns());
  spec.stride[0] = spec.stride[1] = 1;
  spec.input_shape[3] = 64;
  spec.input_shape[1] = spec.input_shape[2] = 7;  // of any number of lanes
  EXPECT_TRUE(turns());
}

// Strides make each channel's planes dearer than half-empty lanes.
TEST(schedule, strides_of_few_channels_take_lanes_over_channels) {
  sepconv_spec spec = spec_of(SEPCONV_SEPARABLE, {1, 64, 64, 8}, 8);
  spec.kernel[0] = spec.kernel[1] = 3;
  const sepconv::kernel_set& k = kernels_of(isas()[0], SEPCONV_FLOAT32);
  const bool narrow = 2 * 8 <= k.lanes;
  const auto gather = [&] { return sepconv::make_schedule(sepconv::make_geometry(spec), k, {32 << 10, 1 << 20, 1}).gather; };
  EXPECT_EQ(gather(), narrow ? gather_lanes::pixels : gather_lanes::channels);
  spec.stride[0] = spec.stride[1] = 2;
  EXPECT_EQ(gather(), gather_lanes::channels);
  spec.input_shape[3] = 1;
  EXPECT_EQ(gather(), gather_lanes::pixels);
}

TEST(schedule, empty_batch) {
  const sepconv_spec spec = spec_of(SEPCONV_SEPARABLE, {0, 8, 8, 16}, 16);
  const sepconv::kernel_set& k = kernels_of(isas()[0], SEPCONV_FLOAT32);
  EXPECT_EQ(sepconv::make_schedule(sepconv::make_geometry(spec), k, {32 << 10, 1 << 20, 4}).tiles, 0);
}
