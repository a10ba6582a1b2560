#pragma once

#include <cuda_runtime_api.h>

#include "kernels/backend.hpp"

namespace fp8cal {

/// As Backend::row_errors.
void cuda_row_errors(cudaStream_t stream, ConstMatrix x, ConstMatrix codes, Scales scale,
                     RowError* errors);

}  // namespace fp8cal
