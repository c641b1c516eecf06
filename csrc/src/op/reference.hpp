#pragma once

#include "plan/geometry.hpp"

namespace sepconv {

// The oracle of the tests: contiguous channels_last float64 arrays, sums in float64.
void reference(const geometry& g, const sepconv_weights& weights, const double* input, double* output);

double reference_activation(const sepconv_activation& a, double x);

}  // namespace sepconv
