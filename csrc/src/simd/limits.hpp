// limit > x ? limit : x and limit < x ? limit : x, so that NaN and -0 pass, where the instruction set's own minimum and maximum differ.
#pragma once

namespace sepconv {
namespace SEPCONV_ISA {

SEPCONV_INLINE vec<float> at_least(vec<float> x, vec<float> limit) { return select<float>(limit > x, limit, x); }
SEPCONV_INLINE vec<double> at_least(vec<double> x, vec<double> limit) { return select<double>(limit > x, limit, x); }
SEPCONV_INLINE vec<float> at_most(vec<float> x, vec<float> limit) { return select<float>(limit < x, limit, x); }
SEPCONV_INLINE vec<double> at_most(vec<double> x, vec<double> limit) { return select<double>(limit < x, limit, x); }

}  // namespace SEPCONV_ISA
}  // namespace sepconv
