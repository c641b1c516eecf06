// The kernels of one instruction set, by storage type.
#include "kernels/move.hpp"

#ifndef SEPCONV_BASE  // whose kernels this instruction set has, but for those that it replaces
#define SEPCONV_BASE SEPCONV_ISA
#endif
#define SEPCONV_TABLE SEPCONV_JOIN(kernels_, SEPCONV_ISA)
#define SEPCONV_STRING_(x) #x
#define SEPCONV_STRING(x) SEPCONV_STRING_(x)

namespace sepconv {

namespace SEPCONV_BASE {
extern const kernel_set float32_set, float64_set, float16_set, bfloat16_set;
}
namespace SEPCONV_ISA {
extern const pair_set bfloat_pairs;
}

extern const kernel_table SEPCONV_TABLE;
const kernel_table SEPCONV_TABLE = {
    SEPCONV_STRING(SEPCONV_ISA),
    {&SEPCONV_BASE::float32_set, &SEPCONV_BASE::float64_set, &SEPCONV_BASE::float16_set, &SEPCONV_BASE::bfloat16_set},
    &SEPCONV_ISA::bfloat_pairs,
    SEPCONV_ISA::fma_loop<float>,
};

}  // namespace sepconv
