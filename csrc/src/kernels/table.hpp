// Fills a kernel_set.
#pragma once

#include "kernels/activate.hpp"
#include "kernels/derive.hpp"
#include "kernels/filter_channels.hpp"
#include "kernels/filter_gradient.hpp"
#include "kernels/filter_line.hpp"
#include "kernels/filter_outputs.hpp"
#include "kernels/filter_plane.hpp"
#include "kernels/move.hpp"
#include "kernels/multiply.hpp"
#include "kernels/reduce.hpp"
#include "kernels/softmax.hpp"
#include "kernels/tiles.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

// The micro-kernels know only T: 16-bit storage shares those of float.
template <class S, class T>
constexpr kernel_set make_set() {
  kernel_set set = {};
  fill_products<numbers<T>>(set);
  set.filter_channels = filter_channels<T>;
  set.filter_line = filter_line<T>;
#if SEPCONV_ISA_NUMBER != 1  // filter_line will do for the baseline, whose multiply-adds are calls
  set.filter_plane[3] = filter_plane<T, 3>;
  set.filter_plane[5] = filter_plane<T, 5>;
#endif
#if SEPCONV_ISA_NUMBER == 2 || SEPCONV_ISA_NUMBER == 3
  set.filter_outputs = filter_outputs<T>;
#endif
  set.copy_lines = copy_lines<S, T>;
  set.store_tile = store_tile<T, S>;
  set.move_tile = store_tile<T, T>;
  set.activate = activate<T>;
  set.derive = derive<T>;
  set.activate_rows = activate_rows<T>;
  set.derive_rows = derive_rows<T>;
  set.outer = outer<T>;
  set.mask = mask_gradient<S, T>;
  set.filter_gradient = filter_gradient<T>;
  set.sum_pixels = sum_pixels<T>;
  set.accumulate = accumulate<T>;
  return set;
}

}  // namespace SEPCONV_ISA
}  // namespace sepconv
