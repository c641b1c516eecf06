// The kernels of one instruction set. Compiled once for each, with its flags and SEPCONV_ISA; see cmake/isa.cmake.
#include "kernels/table.hpp"

#define SEPCONV_TABLE SEPCONV_JOIN(kernels_, SEPCONV_ISA)
#define SEPCONV_STRING_(x) #x
#define SEPCONV_STRING(x) SEPCONV_STRING_(x)

namespace sepconv {

namespace SEPCONV_ISA {
static constexpr kernel_set float32_set = make_set<float, float>();
static constexpr kernel_set float64_set = make_set<double, double>();
static constexpr kernel_set float16_set = make_set<half, float>();
static constexpr kernel_set bfloat16_set = make_set<bfloat, float>();
}  // namespace SEPCONV_ISA

extern const kernel_table SEPCONV_TABLE;
const kernel_table SEPCONV_TABLE = {
    SEPCONV_STRING(SEPCONV_ISA),
    {&SEPCONV_ISA::float32_set, &SEPCONV_ISA::float64_set, &SEPCONV_ISA::float16_set, &SEPCONV_ISA::bfloat16_set},
    SEPCONV_ISA::fma_loop<float>,
};

}  // namespace sepconv
