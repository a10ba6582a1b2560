#pragma once

#include <cuda_runtime.h>

#include "kernels/backend.hpp"

namespace fp8cal {

/// For few rows, short enough to be held in the registers of a block, of whole packs: elsewhere
/// these return false, and nothing is done. Operands are as Backend's methods want them, which are
/// met to the bit.

bool cuda_few_rows_norm(cudaStream_t stream, Matrix residual, ConstMatrix delta, ConstMatrix weight,
                        float epsilon, Matrix out);
bool cuda_few_rows_norm_quantize(cudaStream_t stream, Matrix residual, ConstMatrix delta,
                                 ConstMatrix weight, float epsilon, const QuantizedRows& into);
/// quantize_rows.
bool cuda_few_rows_quantize(cudaStream_t stream, ConstMatrix x, Matrix codes, float* scales);

}  // namespace fp8cal
