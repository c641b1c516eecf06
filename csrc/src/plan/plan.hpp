// A plan: geometry, schedule and kernels of one convolution.
#pragma once

#include "kernels/kernel_types.hpp"
#include "plan/geometry.hpp"
#include "plan/schedule.hpp"

struct sepconv_plan {
  sepconv::geometry geometry;
  sepconv::schedule schedule;
  const sepconv::kernel_table* table;
  const sepconv::kernel_set* kernels;
  const sepconv::multiply_set* products;
};

namespace sepconv {

sepconv_plan make_plan(const sepconv_spec& spec);

// Plans with equal keys can share a pack: operator, sum type, precision, instruction set and lane role.
int64_t pack_key(const sepconv_plan& plan);

}  // namespace sepconv
