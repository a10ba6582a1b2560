#pragma once

#include <cuda_runtime.h>

#include "kernels/backend.hpp"

namespace fp8cal {

/// Whether cuda_multiply_few takes these operands: at most kFewRows rows, each row of x and weight
/// whole multiples of 16 bytes, on such addresses.
bool can_multiply_few(const ConstMatrix& x, const ConstMatrix& weight);

/// Backend::multiply_few on tensor cores, each weight read once. What it sums in which order
/// depends on K and the dtypes alone.
void cuda_multiply_few(cudaStream_t stream, ConstMatrix x, Scales x_scale, ConstMatrix weight,
                       Scales weight_scale, Matrix out);

/// Backend::multiply_few_silu likewise, at once; `into` with a scale of the whole, or none.
void cuda_multiply_few_silu(cudaStream_t stream, ConstMatrix x, Scales x_scale, ConstMatrix weight,
                            Scales weight_scale, Matrix out, const QuantizedRows& into);

}  // namespace fp8cal
