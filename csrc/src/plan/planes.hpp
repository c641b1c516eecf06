// Phase planes: how the gather over pixels lays out the input of one channel.
//
// The input rows and columns that a run of output rows touches are split by their remainder modulo the stride, one plane each pair of
// remainders, with the padding filled in. Inside a plane, neighbours are neighbours of the output, so a strided or dilated convolution
// becomes a dense one: tap (i, j) of output (y, x) lies at offset(i, j) + y * pitch + x.
#pragma once

#include <algorithm>
#include <numeric>

#include "plan/geometry.hpp"

namespace sepconv {

// Remainders i * dilation % stride repeat with this period.
inline int64_t phase_period(int64_t kernel, int64_t stride, int64_t dilation) {
  return std::min(kernel, stride / std::gcd(stride, dilation));
}

struct plane_layout {
  bool shared;          // taps share planes by remainder; else, where they lie far apart, each row of taps has its own
  int64_t row_planes, column_planes;
  int64_t rows, pitch;  // of a plane

  int64_t elements() const { return row_planes * column_planes * rows * pitch; }  // fits: checked in make_schedule
};

inline plane_layout make_planes(const geometry& g, int64_t output_rows, int64_t output_columns) {
  plane_layout p;
  const int64_t period = phase_period(g.kernel[0], g.stride[0], g.dilation[0]);
  const int64_t reach = (g.kernel[0] - 1) * g.dilation[0] / g.stride[0];  // fits: checked in make_geometry
  p.shared = period * (output_rows + reach) <= g.kernel[0] * output_rows;  // fits: likewise
  p.row_planes = p.shared ? period : g.kernel[0];
  p.rows = p.shared ? output_rows + reach : output_rows;
  p.column_planes = phase_period(g.kernel[1], g.stride[1], g.dilation[1]);
  p.pitch = output_columns + (g.kernel[1] - 1) * g.dilation[1] / g.stride[1];  // fits: likewise
  return p;
}

// Lines: how the gather over outputs lays out its input, [row][column][channel] with the padding filled in.
struct line_layout {
  int64_t rows, columns, pitch;  // pitch in elements

  int64_t elements() const { return rows * pitch; }  // fits: checked in make_schedule
};

inline line_layout make_lines(const geometry& g, int64_t output_rows, int64_t output_columns) {
  line_layout l;
  l.rows = (output_rows - 1) * g.stride[0] + (g.kernel[0] - 1) * g.dilation[0] + 1;        // fits: checked in make_geometry
  l.columns = (output_columns - 1) * g.stride[1] + (g.kernel[1] - 1) * g.dilation[1] + 1;  // fits: likewise
  l.pitch = l.columns * g.channels();                                                      // fits: choose_gather asks for few
  return l;
}

}  // namespace sepconv
