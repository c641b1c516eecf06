// Functions of whole rows: pieces of them shared by threads, 16-bit storage widened.
#pragma once

#include <cstdint>

namespace sepconv {

// `kind` is a sepconv_row_activation; there are values. They throw std::bad_alloc where 16-bit storage finds no scratch.
void activate_rows(int32_t kind, int32_t dtype, void* data, int64_t rows, int64_t columns, int32_t threads);
void derive_rows(int32_t kind, int32_t dtype, const void* output, void* gradient, int64_t rows, int64_t columns, int32_t threads);

}  // namespace sepconv
