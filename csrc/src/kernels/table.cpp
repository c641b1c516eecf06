// The kernels of one instruction set, by storage type.
#include "kernels/move.hpp"

#define SEPCONV_TABLE SEPCONV_JOIN(kernels_, SEPCONV_ISA)
#define SEPCONV_STRING_(x) #x
#define SEPCONV_STRING(x) SEPCONV_STRING_(x)

namespace sepconv {

namespace SEPCONV_ISA {
extern const kernel_set float32_set, float64_set, float16_set, bfloat16_set;
}

extern const kernel_table SEPCONV_TABLE;
const kernel_table SEPCONV_TABLE = {
    SEPCONV_STRING(SEPCONV_ISA),
    {&SEPCONV_ISA::float32_set, &SEPCONV_ISA::float64_set, &SEPCONV_ISA::float16_set, &SEPCONV_ISA::bfloat16_set},
    SEPCONV_ISA::fma_loop<float>,
};

}  // namespace sepconv
