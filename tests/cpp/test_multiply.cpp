// Every micro-kernel of the table against one multiply-add chain an output, to the bit.
#include "pairs.hpp"

using namespace test;
using sepconv::multiply_args;
using sepconv::multiply_fn;
using sepconv::multiply_set;

namespace {

// What is multiplied, how a value of k is added, and data.
template <class T>
struct numbers {
  using sum = T;
  using element = T;
  static T add(T a, T b, T s) { return std::fma(a, b, s); }
  static void fill(guarded& buffer, generator& r, bool) { fill_normal(buffer, dtype_of<T>, r); }
};

// bfloat16 where two values of k are one element.
struct pairs {
  using sum = float;
  using element = bfloat_pair;
  static float add(element a, element b, float s) { return add_pair(a, b, s); }
  static void fill(guarded& buffer, generator& r, bool tiny) {
    for (std::size_t i = 0; i < buffer.size() / sizeof(element); ++i)
      buffer.as<element>()[i] = {{draw_bfloat(r, tiny)}, {draw_bfloat(r, tiny)}};
    buffer.read_only();
  }
};

// bfloat16 where each value of k is a float; denormals don't come.
struct bfloats {
  using sum = float;
  using element = float;
  static float add(float a, float b, float s) { return flushed_fma(a, b, s); }
  static void fill(guarded& buffer, generator& r, bool tiny) {
    for (std::size_t i = 0; i < buffer.size() / sizeof(element); ++i)
      buffer.as<element>()[i] = flushed(static_cast<float>(bfloat_number(draw_bfloat(r, tiny))));
    buffer.read_only();
  }
};

struct problem {
  int rows, vectors;
  int64_t passes, channels;
  double lo, hi;
  flush side;
  bool tiny;     // in bfloat16, products and sums that come down to denormals
  int64_t part;  // of the last vector, that is stored

  int64_t panels(const kernel_set& k) const { return part == k.lanes ? 1 + rows % 3 : 1; }
  int64_t stored(const kernel_set& k) const { return (vectors - 1) * k.lanes + part; }
};

// A bias of the data's order: denormal where sums are, so that it must be added in the default modes.
template <class T>
void fill_bias(guarded& buffer, generator& r, bool tiny) {
  for (std::size_t i = 0; i < buffer.size() / sizeof(T); ++i)
    buffer.as<T>()[i] = static_cast<T>(tiny ? std::ldexp(r.normal(), -128) : r.normal());
  buffer.read_only();
}

// The broadcast operand in blocks [pass][block][pixel][channel of the block], pixels apart where kernels step over rows; panels
// [k][column], one after the other.
template <class P>
void check_filters(const kernel_set& k, const multiply_set& set, const problem& p, generator& r) {
  using T = typename P::sum;
  using E = typename P::element;
  constexpr int64_t block = block_channels<T>;
  const int64_t columns = p.vectors * k.lanes, panels = p.panels(k), stored = (panels - 1) * columns + p.stored(k);
  const int64_t blocks = (p.channels + block - 1) / block;
  const int64_t step = set.steps_over_rows ? r.pick({block, block + 3, 5 * block}) : block;
  const int64_t groups = p.rows < set.grouped_rows ? 1 : r.between(1, 3), rows = groups * p.rows;
  const int64_t pitch = rows + 2, last = p.channels - (blocks - 1) * block;
  // The last block ends with the last row's last value: what is behind is nobody's to read.
  guarded a(bytes_of((p.passes * blocks - 1) * pitch * step + (rows - 1) * step + last, sizeof(T)), p.side);
  guarded b(bytes_of(panels * p.passes * p.channels * columns, sizeof(T)), p.side);
  guarded bias(bytes_of(panels * columns, sizeof(T)), p.side);
  const int64_t output_row = panels * columns + 3;
  guarded y(bytes_of((rows - 1) * output_row + stored, sizeof(T)), p.side);
  for (guarded* g : {&a, &b}) P::fill(*g, r, p.tiny);
  fill_bias<T>(bias, r, p.tiny);

  multiply_args args = {};
  args.broadcast = a.get();
  args.lanes = b.get();
  args.bias = bias.get();
  args.row_step = step;
  args.block_step = pitch * step;
  args.passes = p.passes;
  args.blocks = blocks;
  args.last_block = last;
  args.lo = p.lo;
  args.hi = p.hi;
  args.output = y.get();
  args.output_row = output_row;
  args.last_lanes = p.part;
  args.panels = panels;
  args.groups = groups;
  args.ahead = b.get();  // what is fetched ahead is never read, wherever it lies
  args.ahead_lines = p.passes * 100;
  set.filters[p.rows][p.vectors](&args);

  EXPECT_TRUE(y.intact());
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < stored; ++column) {
      T sum = 0;
      for (int64_t pass = 0; pass < p.passes; ++pass)
        for (int64_t c = 0; c < p.channels; ++c)
          sum = P::add(a.as<E>()[((pass * blocks + c / block) * pitch + row) * step + c % block],
                         b.as<E>()[((column / columns * p.passes + pass) * p.channels + c) * columns + column % columns], sum);
      const T wanted = clamped<T>(sum + bias.as<T>()[column], p.lo, p.hi);
      ASSERT_TRUE(same(y.as<T>()[row * output_row + column], wanted)) << "row " << row << ", column " << column;
    }
  for (int64_t row = 0; row + 1 < rows; ++row)  // between rows
    for (int64_t i = 0; i < (output_row - stored) * static_cast<int64_t>(sizeof(T)); ++i)
      ASSERT_EQ(reinterpret_cast<unsigned char*>(y.as<T>() + row * output_row + stored)[i], guarded::pattern);
}

// The broadcast operand in planes [k][pixel], panels [k][column], one after the other.
template <class P>
void check_planar(const kernel_set& k, const multiply_set& set, const problem& p, generator& r) {
  using T = typename P::sum;
  using E = typename P::element;
  const int64_t columns = p.vectors * k.lanes, panels = p.panels(k), stored = (panels - 1) * columns + p.stored(k);
  const int64_t pitch = p.rows + 3, output_row = panels * columns + 2;
  guarded a(bytes_of((p.channels - 1) * pitch + p.rows, sizeof(T)), p.side), b(bytes_of(panels * p.channels * columns, sizeof(T)), p.side);
  guarded bias(bytes_of(panels * columns, sizeof(T)), p.side), y(bytes_of((p.rows - 1) * output_row + stored, sizeof(T)), p.side);
  for (guarded* g : {&a, &b}) P::fill(*g, r, p.tiny);
  fill_bias<T>(bias, r, p.tiny);

  multiply_args args = {};
  args.broadcast = a.get();
  args.lanes = b.get();
  args.bias = bias.get();
  args.block_step = pitch;
  args.passes = 1;
  args.blocks = 1;
  args.last_block = p.channels;
  args.lo = p.lo;
  args.hi = p.hi;
  args.output = y.get();
  args.output_row = output_row;
  args.last_lanes = p.part;
  args.panels = panels;
  set.planar[p.rows][p.vectors](&args);

  EXPECT_TRUE(y.intact());
  for (int64_t row = 0; row < p.rows; ++row)
    for (int64_t column = 0; column < stored; ++column) {
      T sum = 0;
      for (int64_t c = 0; c < p.channels; ++c)
        sum = P::add(a.as<E>()[c * pitch + row], b.as<E>()[(column / columns * p.channels + c) * columns + column % columns], sum);
      const T wanted = clamped<T>(sum + bias.as<T>()[column], p.lo, p.hi);
      ASSERT_TRUE(same(y.as<T>()[row * output_row + column], wanted)) << "row " << row << ", column " << column;
    }
}

// The broadcast operand in panels [k][row] of the largest micro-tile, the lane operand [k][pixel] of as many pixels.
template <class P>
void check_pixels(const kernel_set& k, const multiply_set& set, const problem& p, generator& r) {
  using T = typename P::sum;
  using E = typename P::element;
  const int64_t columns = p.vectors * k.lanes, panels = p.panels(k), stored = (panels - 1) * columns + p.stored(k);
  const int64_t step = panels * columns + 5;
  guarded a(bytes_of((p.channels - 1) * k.pixels_rows + p.rows, sizeof(T)), p.side);
  guarded b(bytes_of((p.channels - 1) * step + panels * columns, sizeof(T)), p.side), bias(bytes_of(p.rows, sizeof(T)), p.side);
  const int64_t output_row = panels * columns + 1;
  guarded y(bytes_of((p.rows - 1) * output_row + stored, sizeof(T)), p.side);
  for (guarded* g : {&a, &b}) P::fill(*g, r, p.tiny);
  fill_bias<T>(bias, r, p.tiny);

  multiply_args args = {};
  args.broadcast = a.get();
  args.lanes = b.get();
  args.bias = bias.get();
  args.lane_step = step;
  args.passes = 1;
  args.blocks = 1;
  args.last_block = p.channels;
  args.lo = p.lo;
  args.hi = p.hi;
  args.output = y.get();
  args.output_row = output_row;
  args.last_lanes = p.part;
  args.panels = panels;
  set.pixels[p.rows][p.vectors](&args);

  EXPECT_TRUE(y.intact());
  for (int64_t row = 0; row < p.rows; ++row)
    for (int64_t column = 0; column < stored; ++column) {
      T sum = 0;
      for (int64_t c = 0; c < p.channels; ++c)
        sum = P::add(a.as<E>()[c * k.pixels_rows + row], b.as<E>()[c * step + column], sum);
      const T wanted = clamped<T>(sum + bias.as<T>()[row], p.lo, p.hi);
      ASSERT_TRUE(same(y.as<T>()[row * output_row + column], wanted)) << "row " << row << ", column " << column;
    }
}

// All rows of the table that are there, with every tail of a block of k.
template <class P, class Check>
int64_t sweep(const kernel_set& k, const multiply_set& set, const multiply_fn (&table)[sepconv::max_rows + 1][sepconv::max_vectors + 1],
              int64_t most_passes, Check&& check) {
  using T = typename P::sum;
  constexpr int64_t block = block_channels<T>;
  static constexpr double clamps[][2] = {{-infinity, infinity}, {0, infinity}, {0, 6}, {-1, 1}};
  generator r(17);
  int64_t done = 0;
  for (int rows = 1; rows <= sepconv::max_rows; ++rows)
    for (int vectors = 1; vectors <= sepconv::max_vectors; ++vectors) {
      if (!table[rows][vectors]) continue;
      for (int64_t channels = 1; channels <= 2 * block + 1; channels += r.one_in(2) ? 1 : 3) {
        const auto& clamp = clamps[channels % 4];
        const flush side = channels % 2 ? flush::back : flush::front;
        const int64_t part = set.stores_parts ? r.between(1, k.lanes) : k.lanes;
        check(k, set, problem{rows, vectors, 1 + channels % most_passes, channels, clamp[0], clamp[1], side, r.one_in(2), part}, r);
        ++done;
        if (testing::Test::HasFailure()) {
          ADD_FAILURE() << rows << " rows, " << vectors << " vectors, " << channels << " channels";
          return done;
        }
      }
    }
  return done;
}

// body(kernels, micro-kernels, product) for numbers of the two types of sums, and for bfloat16.
template <class F>
void for_each_product(F&& body) {
  for_each_sum_type([&](const kernel_set& k, auto type) { body(k, k, numbers<decltype(type)>{}); });
  for (const std::string& isa : isas()) {
    SCOPED_TRACE(isa + ", bfloat16");
    const sepconv::kernel_table& table = sepconv::find_isa(isa.c_str());
    if (table.pairs->packed)
      body(*table.sets[SEPCONV_FLOAT32], *table.pairs, pairs{});
    else
      body(*table.sets[SEPCONV_FLOAT32], *table.pairs, bfloats{});
  }
}

}  // namespace

TEST(multiply, lanes_over_filters) {
  for_each_product([](const kernel_set& k, const multiply_set& set, auto product) {
    using P = decltype(product);
    EXPECT_GT(sweep<P>(k, set, set.filters, 3, check_filters<P>), 0);
  });
}

TEST(multiply, lanes_over_filters_of_planar_pixels) {
  for_each_product([](const kernel_set& k, const multiply_set& set, auto product) {
    using P = decltype(product);
    EXPECT_GT(sweep<P>(k, set, set.planar, 1, check_planar<P>), 0);
  });
}

TEST(multiply, lanes_over_pixels) {
  for_each_product([](const kernel_set& k, const multiply_set& set, auto product) {
    using P = decltype(product);
    EXPECT_GT(sweep<P>(k, set, set.pixels, 1, check_pixels<P>), 0);
  });
}

// Every tail that a schedule can ask for has its kernel.
TEST(multiply, table_has_every_smaller_tile) {
  const auto check = [](const multiply_set& k) {
    EXPECT_EQ(k.lanes % 2, 0);
    EXPECT_LE(std::max(k.filters_rows, k.pixels_rows), sepconv::max_rows);
    EXPECT_LE(std::max(k.filters_vectors, k.pixels_vectors), sepconv::max_vectors);
    EXPECT_GE(k.pixels_sums, k.pixels_rows);
    for (int rows = 1; rows <= sepconv::max_rows; ++rows)
      for (int vectors = 1; vectors <= sepconv::max_vectors; ++vectors) {
        const bool over_filters = rows <= k.filters_rows && vectors <= k.filters_vectors && rows * vectors <= k.filters_sums;
        EXPECT_EQ(k.filters[rows][vectors] != nullptr, over_filters);
        EXPECT_EQ(k.planar[rows][vectors] != nullptr, over_filters);
        EXPECT_EQ(k.pixels[rows][vectors] != nullptr,
                  rows <= k.pixels_rows && vectors <= k.pixels_vectors && rows * vectors <= k.pixels_sums);
      }
  };
  for (const std::string& isa : isas()) check(*sepconv::find_isa(isa.c_str()).pairs);
  for_each_set([&check](const kernel_set& k, int32_t dtype) {
    check(k);
    for (const void* p : {reinterpret_cast<const void*>(k.filter_channels), reinterpret_cast<const void*>(k.filter_line),
                          reinterpret_cast<const void*>(k.copy_lines), reinterpret_cast<const void*>(k.store_tile),
                          reinterpret_cast<const void*>(k.move_tile), reinterpret_cast<const void*>(k.activate)})
      EXPECT_NE(p, nullptr) << dtype;
  });
}

TEST(multiply, fma_loop_counts_what_it_does) {
  for (const std::string& isa : isas()) {
    const auto loop = sepconv::find_isa(isa.c_str()).fma_loop;
    EXPECT_GT(loop(1000), 0);
    EXPECT_EQ(loop(4000), 4 * loop(1000));
  }
}
