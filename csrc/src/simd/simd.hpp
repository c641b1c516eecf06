// The vector type of the instruction set that this file is compiled for: SEPCONV_ISA is its name, a bare token.
#pragma once

#ifndef SEPCONV_ISA
#error "compile kernels with -DSEPCONV_ISA=<name>; cmake/isa.cmake lists the names"
#endif

#define SEPCONV_JOIN_(a, b) a##b
#define SEPCONV_JOIN(a, b) SEPCONV_JOIN_(a, b)
#define SEPCONV_IS_scalar 1
#define SEPCONV_IS_avx2 2
#define SEPCONV_IS_avx512 3
#define SEPCONV_IS_avx512_bf16 3  // the same vectors, and an instruction more
#define SEPCONV_IS_neon 4
#define SEPCONV_ISA_NUMBER SEPCONV_JOIN(SEPCONV_IS_, SEPCONV_ISA)

#if SEPCONV_ISA_NUMBER == 1
#include "simd/scalar.hpp"
#elif SEPCONV_ISA_NUMBER == 2
#include "simd/avx2.hpp"
#elif SEPCONV_ISA_NUMBER == 3
#include "simd/avx512.hpp"
#elif SEPCONV_ISA_NUMBER == 4
#include "simd/neon.hpp"
#else
#error "unknown SEPCONV_ISA"
#endif
