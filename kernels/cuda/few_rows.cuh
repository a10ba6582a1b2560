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

/// Backend::quantize_multiply_few by a row's own scale, at once. x bf16 and weight e4m3, as
/// can_multiply_few wants them; false, and nothing is done, of more than one row or one too long.
bool cuda_quantize_multiply_few(cudaStream_t stream, ConstMatrix x, ConstMatrix weight,
                                Scales weight_scale, Matrix out);

}  // namespace fp8cal
