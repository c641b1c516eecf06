// Fills a kernel_set: every row of the micro-tile tables, by templates.
#pragma once

#include "kernels/activate.hpp"
#include "kernels/derive.hpp"
#include "kernels/filter_channels.hpp"
#include "kernels/filter_gradient.hpp"
#include "kernels/filter_line.hpp"
#include "kernels/filter_plane.hpp"
#include "kernels/move.hpp"
#include "kernels/multiply.hpp"
#include "kernels/reduce.hpp"
#include "kernels/tiles.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

template <class T, int Rows, int Vectors>
constexpr void fill_vectors(kernel_set& set) {
  if constexpr (Vectors > 0) {
    if constexpr (Rows <= filters_rows && Vectors <= filters_vectors) {
      set.filters[Rows][Vectors] = multiply<T, Rows, Vectors, block_channels<T>, 1, true>;
      set.planar[Rows][Vectors] = multiply<T, Rows, Vectors, 1, 0, true>;
    }
    if constexpr (Rows <= pixels_rows && Vectors <= pixels_vectors)
      set.pixels[Rows][Vectors] = multiply<T, Rows, Vectors, 1, pixels_rows, false>;
    fill_vectors<T, Rows, Vectors - 1>(set);
  }
}

template <class T, int Rows>
constexpr void fill_rows(kernel_set& set) {
  if constexpr (Rows > 0) {
    fill_vectors<T, Rows, max_vectors>(set);
    fill_rows<T, Rows - 1>(set);
  }
}

// The micro-kernels know only T: 16-bit storage shares those of float.
template <class S, class T>
constexpr kernel_set make_set() {
  kernel_set set = {};
  set.lanes = lanes<T>;
  set.filters_rows = filters_rows;
  set.filters_vectors = filters_vectors;
  set.pixels_rows = pixels_rows;
  set.pixels_vectors = pixels_vectors;
  fill_rows<T, max_rows>(set);
  set.filter_channels = filter_channels<T>;
  set.filter_line = filter_line<T>;
#if SEPCONV_ISA_NUMBER != 1  // filter_line will do for the baseline, whose multiply-adds are calls
  set.filter_plane[3] = filter_plane<T, 3>;
  set.filter_plane[5] = filter_plane<T, 5>;
#endif
  set.copy_lines = copy_lines<S, T>;
  set.store_tile = store_tile<T, S>;
  set.move_tile = store_tile<T, T>;
  set.activate = activate<T>;
  set.derive = derive<T>;
  set.outer = outer<T>;
  set.mask = mask_gradient<S, T>;
  set.filter_gradient = filter_gradient<T>;
  set.sum_pixels = sum_pixels<T>;
  set.accumulate = accumulate<T>;
  return set;
}

}  // namespace SEPCONV_ISA
}  // namespace sepconv
