// Kernels that sum in float64.
#include "kernels/table.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

extern const kernel_set float64_set;
const kernel_set float64_set = make_set<double, double>();

}  // namespace SEPCONV_ISA
}  // namespace sepconv
