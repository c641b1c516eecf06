// Phase planes: tap (i, j) of output (y, x) lies at one place, and no two taps of different inputs share it.
#include "plan/planes.hpp"

#include <map>

#include "support.hpp"

using namespace test;

TEST(planes, every_tap_of_every_output_has_the_right_place) {
  for (int64_t kernel = 1; kernel <= 5; ++kernel)
    for (int64_t stride = 1; stride <= 6; ++stride)
      for (int64_t dilation = 1; dilation <= 6; ++dilation)
        for (int64_t outputs : {1, 2, 7}) {
          sepconv::geometry g = {};
          g.kernel = {kernel, kernel};
          g.stride = {stride, stride};
          g.dilation = {dilation, dilation};
          const sepconv::plane_layout p = sepconv::make_planes(g, outputs, outputs);
          const int64_t period = p.column_planes;
          EXPECT_LE(period, kernel);
          // A plane and a place in it name one column of the input, whichever tap and output they come from.
          std::map<std::pair<int64_t, int64_t>, int64_t> column_at;
          for (int64_t j = 0; j < kernel; ++j)
            for (int64_t x = 0; x < outputs; ++x) {
              const int64_t place = j * dilation / stride + x, input = x * stride + j * dilation;
              EXPECT_LT(place, p.pitch);
              const auto found = column_at.emplace(std::make_pair(j % period, place), input);
              EXPECT_EQ(found.first->second, input);
              EXPECT_EQ(j % period * dilation % stride + place * stride, input);  // what fills the plane
            }
          EXPECT_EQ(p.elements(), p.row_planes * p.column_planes * p.rows * p.pitch);
          EXPECT_TRUE(p.shared ? p.rows >= outputs + (kernel - 1) * dilation / stride : p.row_planes == kernel && p.rows == outputs);
        }
}

TEST(planes, period_of_remainders) {
  EXPECT_EQ(sepconv::phase_period(3, 1, 6), 1);
  EXPECT_EQ(sepconv::phase_period(3, 2, 1), 2);
  EXPECT_EQ(sepconv::phase_period(3, 2, 2), 1);
  EXPECT_EQ(sepconv::phase_period(2, 5, 1), 2);
  EXPECT_EQ(sepconv::phase_period(9, 6, 4), 3);
}
