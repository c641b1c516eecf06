// What a pair of products in bfloat16 adds to a sum, case by case: order, roundings, denormals, and the modes that follow.
#include "pairs.hpp"

using namespace test;

namespace {

struct product {
  double even, odd;  // of the one operand; the other is the second pair
  double other_even, other_odd;
};

// A sum of two pairs from 0, plus `bias`, on every instruction set; all must agree.
float sum_of(const product& first, const product& second, float bias = 0) {
  float agreed = 0;
  for (const std::string& isa : isas()) {
    const sepconv::kernel_table& table = sepconv::find_isa(isa.c_str());
    const sepconv::pair_set& set = *table.pairs;
    const std::size_t lanes = static_cast<std::size_t>(table.sets[SEPCONV_FLOAT32]->lanes), step = set.packed ? 1 : 2;
    std::vector<float> row(2 * step), columns(2 * step * lanes), y(lanes);
    const auto operands = [&](std::vector<float>& to, std::size_t width, std::size_t pair, double even, double odd) {
      const std::vector<float> a(width, static_cast<float>(even)), b(width, static_cast<float>(odd));
      const int64_t n = static_cast<int64_t>(width);
      set.pair_planes(a.data(), b.data(), n, to.data() + pair * step * width, n);
    };
    operands(row, 1, 0, first.even, first.odd);
    operands(row, 1, 1, second.even, second.odd);
    operands(columns, lanes, 0, first.other_even, first.other_odd);
    operands(columns, lanes, 1, second.other_even, second.other_odd);
    const std::vector<float> shift(lanes, bias);
    sepconv::multiply_args args = {};
    args.broadcast = row.data();
    args.lanes = columns.data();
    args.bias = shift.data();
    args.passes = args.blocks = 1;
    args.block_step = 1;
    args.last_block = static_cast<int64_t>(2 * step);
    args.lo = -infinity;
    args.hi = infinity;
    args.output = y.data();
    args.output_row = static_cast<ptrdiff_t>(lanes);
    args.last_lanes = static_cast<int64_t>(lanes);
    args.panels = 1;
    set.planar[1][1](&args);
    for (float value : y) EXPECT_TRUE(same(value, y[0])) << isa;
    if (isa == isas()[0]) agreed = y[0];
    EXPECT_TRUE(same(y[0], agreed)) << isa << ": " << y[0] << ", " << isas()[0] << ": " << agreed;
  }
  return agreed;
}

constexpr product nothing = {0, 0, 0, 0};
constexpr double least = 0x1p-126;

}  // namespace

TEST(product, the_odd_element_comes_first) {
  const product large = {0x1p24, 0, 1, 0};
  EXPECT_EQ(sum_of(large, {-0x1p24, 1, 1, 1}), 0);  // 2^24 + 1 rounds to 2^24
  EXPECT_EQ(sum_of(large, {1, -0x1p24, 1, 1}), 1);
}

TEST(product, products_are_not_rounded) {
  const double x = 1 + 0x1p-7;
  EXPECT_EQ(sum_of({-1, 0, 1, 0}, {x, 0, x, 0}), 0x1p-6f + 0x1p-14f);
  EXPECT_EQ(sum_of({0x1p-10, 0, 1, 0}, {1, 0x1p-30, 1, 1}), 1 + 0x1p-10f);  // but each sum is
}

// 2^-126 less something: rounded to 24 bits first, below the least normal number too, and then zero if it is denormal.
TEST(product, what_is_denormal_is_told_after_rounding) {
  const product at_least = {0x1p-63, 0, 0x1p-63, 0};
  EXPECT_EQ(sum_of(at_least, nothing), least);
  EXPECT_EQ(sum_of(at_least, {0x1p-75, 0, -0x1p-76, 0}), least);      // half of the last place: to even
  EXPECT_EQ(sum_of(at_least, {0x1.8p-75, 0, -0x1p-76, 0}), 0);        // three quarters
  EXPECT_EQ(sum_of(at_least, {0x1p-75, 0, -0x1p-75, 0}), 0);          // all of it; with denormals it would be a tie
  EXPECT_EQ(sum_of(at_least, {0x1p-77, 0x1p-75, -0x1p-77, -0x1p-76}), least);
  EXPECT_EQ(sum_of(at_least, {0x1p-63, 0x1p-64, 0x1p-64, -0x1p-63}), 0);  // half of it, twice
}

TEST(product, denormals_are_zero_on_both_sides) {
  EXPECT_EQ(sum_of({0x1p-127, 0, 0x1p100, 0}, {0, -0x1p-133, 0, 0x1p120}), 0);
  EXPECT_EQ(sum_of({0x1p100, 0, 0x1p-127, 0}, {1, 0, 1, 0}), 1);
  EXPECT_EQ(sum_of({0x1p-64, 0, 0x1p-63, 0}, {0x1p-64, 0, 0x1p-63, 0}), 0);  // 2^-127 twice
}

TEST(product, infinities_and_nan) {
  EXPECT_EQ(sum_of({0x1p127, 0, 4, 0}, {1, 0, 1, 0}), infinity);
  EXPECT_EQ(sum_of({infinity, 0, -1, 0}, {1, 0, 1, 0}), -infinity);
  EXPECT_TRUE(std::isnan(sum_of({infinity, 0, 0, 0}, nothing)));
  EXPECT_TRUE(std::isnan(sum_of({infinity, 0, 0x1p-130, 0}, nothing)));  // a denormal is zero
  EXPECT_TRUE(std::isnan(sum_of({infinity, infinity, 1, -1}, nothing)));
  EXPECT_TRUE(std::isnan(sum_of(nothing, {0, NAN, 0, 0})));
}

// The bias follows in the default modes: denormals count.
TEST(product, the_bias_is_added_as_ever) {
  EXPECT_EQ(sum_of(nothing, nothing, 0x1p-140f), 0x1p-140f);
  EXPECT_EQ(sum_of({0x1p-63, 0, 0x1p-63, 0}, nothing, -0x1p-127f), 0x1p-127f);
}
