#pragma once

#include <cuda_runtime_api.h>

#include "kernels/backend.hpp"

namespace fp8cal {

/// As Backend's methods.
void cuda_quantize(cudaStream_t stream, ConstMatrix x, Scales scale, Matrix out);
void cuda_quantize_rows(cudaStream_t stream, ConstMatrix x, Matrix out, float* scales);

}  // namespace fp8cal
