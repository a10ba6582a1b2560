#pragma once

#include <cuda_runtime_api.h>

#include "kernels/backend.hpp"

namespace fp8cal {

/// As Backend::dequantize.
void cuda_dequantize(cudaStream_t stream, ConstMatrix codes, Scales scale, Matrix out);

/// out = codes, exactly: every FP8 value is a BF16 value. codes [rows, cols] e4m3 or e5m2,
/// out [rows, cols] bf16.
void cuda_decode(cudaStream_t stream, ConstMatrix codes, Matrix out);

/// out[m, n] = bf16(sums[m, n] * (x_scale[m] * weight_scale[n])). sums [M, N] f32, out [M, N] bf16;
/// scales 1 or M, and 1 or N.
void cuda_scale_sums(cudaStream_t stream, ConstMatrix sums, Scales x_scale, Scales weight_scale,
                     Matrix out);

}  // namespace fp8cal
