#pragma once

#include <cuda_runtime_api.h>

#include "kernels/backend.hpp"

namespace fp8cal {

/// As Backend's methods.
void cuda_embed(cudaStream_t stream, const std::uint32_t* ids, ConstMatrix table,
                std::uint32_t first_id, Matrix out);
void cuda_add_rms_norm(cudaStream_t stream, Matrix residual, ConstMatrix delta, ConstMatrix weight,
                       float epsilon, Matrix out);
void cuda_add(cudaStream_t stream, Matrix residual, ConstMatrix delta);
void cuda_rope(cudaStream_t stream, Matrix x, std::size_t head_dim, ConstMatrix cosine,
               ConstMatrix sine);
void cuda_silu_multiply(cudaStream_t stream, ConstMatrix gate, ConstMatrix up, Matrix out);
void cuda_interleave_columns(cudaStream_t stream, const void* gathered, std::size_t parts,
                             Matrix out);

}  // namespace fp8cal
