// Kernels that sum in float32: float32, float16 and bfloat16 storage. One file, because they share micro-kernels.
#include "kernels/table.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

extern const kernel_set float32_set, float16_set, bfloat16_set;
const kernel_set float32_set = make_set<float, float>();
const kernel_set float16_set = make_set<half, float>();
const kernel_set bfloat16_set = make_set<bfloat, float>();

}  // namespace SEPCONV_ISA
}  // namespace sepconv
