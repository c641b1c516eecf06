#pragma once

#include "plan/geometry.hpp"

namespace sepconv {

// The oracle of gradients: contiguous float64 arrays, channels_last, sums in float64. A NULL gradient is left out.
void reference_vjp(const geometry& g, const sepconv_weights& weights, const double* input, const double* output_gradient,
                   const sepconv_gradients& gradients);

double reference_derivative(const sepconv_activation& a, double x);

}  // namespace sepconv
