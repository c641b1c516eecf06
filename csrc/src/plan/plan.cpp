#include "plan/plan.hpp"

#include "runtime/cpu.hpp"
#include "runtime/isa.hpp"
#include "runtime/parallel.hpp"

namespace sepconv {

sepconv_plan make_plan(const sepconv_spec& spec) {
  sepconv_plan plan = {};
  plan.geometry = make_geometry(spec);
  plan.table = &find_isa(spec.isa);
  plan.kernels = plan.table->sets[plan.geometry.dtype];
  if (plan.geometry.pairs)
    plan.products = plan.table->pairs;
  else
    plan.products = plan.kernels;
  const int32_t threads = spec.num_threads > 0 ? spec.num_threads : default_threads();
  const cache_sizes caches = get_cache_sizes();
  plan.schedule = make_schedule(plan.geometry, *plan.kernels, {caches.l1d, caches.l2, threads},
                                plan.geometry.pairs ? plan.table->pairs : nullptr);
  return plan;
}

int64_t pack_key(const sepconv_plan& plan) {
  int64_t key = plan.geometry.op;
  key = key * 2 + (plan.geometry.dtype == SEPCONV_FLOAT64);  // fits: digits of a small number, here and below
  key = key * 2 + plan.geometry.pairs;                            // fits
  key = key * 3 + static_cast<int64_t>(plan.schedule.multiply);  // fits
  return key * 8 + isa_index(*plan.table);  // fits
}

}  // namespace sepconv
