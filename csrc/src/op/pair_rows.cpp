// Between steps 1 and 2 where products are those of bfloat16: rows of float to its operands, in the layout that they have.
#include <algorithm>

#include "op/task.hpp"

namespace sepconv {

void pair_rows(const task& t, const scratch& s, pixel_range pixels, int64_t c0, int64_t c1) {
  const geometry& g = t.geo();
  const pair_set& to = *t.plan->table->pairs;
  constexpr int64_t block = block_channels<float>;
  const int64_t pitch = t.sched().pitch, count = pixels.last - pixels.first, pass = t.sched().pass_steps;
  const int64_t blocks = ceil_div(g.channels(), block), pair_blocks = ceil_div(pass, block);
  const float* rows = reinterpret_cast<const float*>(s.rows);
  float* pairs = reinterpret_cast<float*>(s.pairs);  // or bfloat_pair, of the same size
  for (int64_t m = 0; m < g.multiplier; ++m) {
    if (t.sched().gather == gather_lanes::channels) {
      for (int64_t c = c0; c < c1; c += block) {
        const int64_t at = to.packed ? c / 2 : c;
        to.pair_blocks(rows + (m * blocks + c / block) * pitch * block, count, std::min(block, c1 - c),
                       pairs + (m * pair_blocks + at / block) * pitch * block + at % block);
      }
      continue;
    }
    for (int64_t c = c0; c < c1; c += 2) {
      const float* even = rows + (m * g.channels() + c) * pitch;
      to.pair_planes(even, c + 1 < c1 ? even + pitch : nullptr, count, pairs + (m * pass + (to.packed ? c / 2 : c)) * pitch, pitch);
    }
  }
}

}  // namespace sepconv
