// Kernels that multiply bfloat16.
#include "kernels/multiply.hpp"
#include "kernels/pair_rows.hpp"

namespace sepconv {
namespace SEPCONV_ISA {

constexpr pair_set make_pairs() {
  constexpr bool packed = bfloats::packed;
  pair_set set = {};
  fill_products<bfloats>(set);
  set.packed = packed;
  set.pair_blocks = pair_blocks<packed>;
  set.pair_planes = pair_planes<packed>;
  return set;
}

extern const pair_set bfloat_pairs;
const pair_set bfloat_pairs = make_pairs();

}  // namespace SEPCONV_ISA
}  // namespace sepconv
