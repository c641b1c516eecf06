// The largest micro-tiles an instruction set's registers hold: Rows * Vectors sums + Vectors columns + 1 broadcast. Those of `filters` and
// `pixels` have any shape within the three limits: the fewer filters, the more vectors of pixels. Those of `outer` have rows that divide a
// block.
#pragma once

#include "simd/simd.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

#if SEPCONV_ISA_NUMBER == 3  // 32 registers of 16 floats; the broadcast is an operand of the instruction
constexpr int filters_rows = 14, filters_vectors = 2, filters_sums = 28;
constexpr int pixels_rows = 8, pixels_vectors = 4, pixels_sums = 24;
constexpr int outer_rows = 8, outer_vectors = 3;
#elif SEPCONV_ISA_NUMBER == 4  // 32 registers of 4 floats
constexpr int filters_rows = 6, filters_vectors = 4, filters_sums = 24;
constexpr int pixels_rows = 6, pixels_vectors = 4, pixels_sums = 24;
constexpr int outer_rows = 8, outer_vectors = 2;
#elif SEPCONV_ISA_NUMBER == 2  // 16 registers of 8 floats
constexpr int filters_rows = 6, filters_vectors = 3, filters_sums = 12;
constexpr int pixels_rows = 6, pixels_vectors = 2, pixels_sums = 12;
constexpr int outer_rows = 4, outer_vectors = 3;
#elif defined(__FP_FAST_FMAF)  // 16 registers of 4 floats or more
constexpr int filters_rows = 4, filters_vectors = 2, filters_sums = 8;
constexpr int pixels_rows = 4, pixels_vectors = 2, pixels_sums = 8;
constexpr int outer_rows = 4, outer_vectors = 1;
#else  // multiply-adds are calls: the least code
constexpr int filters_rows = 2, filters_vectors = 1, filters_sums = 2;
constexpr int pixels_rows = 2, pixels_vectors = 1, pixels_sums = 3;
constexpr int outer_rows = 2, outer_vectors = 1;
#endif

}  // namespace SEPCONV_ISA
}  // namespace sepconv
