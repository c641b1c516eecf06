// Products and sums of sizes at the point where they no longer fit.
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>

#include "plan/checked.hpp"

using namespace sepconv;

namespace {

template <class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const error& e) {
    EXPECT_EQ(e.status(), SEPCONV_INVALID_ARGUMENT);
    return e.what();
  }
  return "";
}

template <class T>
class checked : public testing::Test {};
using types = testing::Types<int64_t, uint64_t, int32_t, std::size_t>;
TYPED_TEST_SUITE(checked, types);

}  // namespace

TYPED_TEST(checked, fits_up_to_the_largest) {
  using T = TypeParam;
  constexpr T most = std::numeric_limits<T>::max();
  EXPECT_EQ(checked_mul<T>(most, 1, "x"), most);
  EXPECT_EQ(checked_mul<T>(most / 2, 2, "x"), most / 2 * 2);
  EXPECT_EQ(checked_mul<T>(most, 0, "x"), T{0});
  EXPECT_EQ(checked_mul<T>(most / 7, 7, "x"), most / 7 * 7);
  EXPECT_EQ(checked_add<T>(most, 0, "x"), most);
  EXPECT_EQ(checked_add<T>(most - 1, 1, "x"), most);
  EXPECT_EQ(checked_mul(T{3}, T{5}, "x", T{7}, T{2}), T{210});
}

TYPED_TEST(checked, one_more_does_not) {
  using T = TypeParam;
  constexpr T most = std::numeric_limits<T>::max();
  EXPECT_THROW(checked_mul<T>(most / 2 + 1, 2, "x"), error);
  EXPECT_THROW(checked_mul<T>(2, most / 2 + 1, "x"), error);
  EXPECT_THROW(checked_mul<T>(most, most, "x"), error);
  EXPECT_THROW(checked_mul<T>(most / 7 + 1, 7, "x"), error);
  EXPECT_THROW(checked_add<T>(most, 1, "x"), error);
  EXPECT_THROW(checked_add<T>(1, most, "x"), error);
  EXPECT_THROW(checked_mul(most, T{1}, "x", T{2}), error);
  EXPECT_THROW(checked_mul(T{2}, most / 2, "x", T{1}, T{2}), error);
}

TEST(checked_int32, the_product_that_wraps_to_zero) {
  EXPECT_THROW(checked_mul<int32_t>(65536, 65536, "x"), error);
  EXPECT_THROW(checked_mul<uint64_t>(uint64_t{1} << 32, uint64_t{1} << 32, "x"), error);
}

TEST(checked_message, names_what_was_computed) {
  EXPECT_NE(message_of([] { checked_mul(INT64_MAX, int64_t{2}, "multiplier"); }).find("`multiplier`"), std::string::npos);
  EXPECT_NE(message_of([] { checked_add(INT64_MAX, int64_t{1}, "pad_after"); }).find("`pad_after`"), std::string::npos);
  EXPECT_NE(message_of([] { checked_mul(INT64_MAX, int64_t{1}, "kernel", int64_t{2}); }).find("`kernel`"), std::string::npos);
}
