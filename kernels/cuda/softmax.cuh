#pragma once

#include <cuda_runtime_api.h>

#include "kernels/backend.hpp"

namespace fp8cal {

/// As Backend's methods.
void cuda_softmax_partials(cudaStream_t stream, ConstMatrix logits, std::uint32_t first_id,
                           const std::uint32_t* targets, float* partials);
void cuda_combine_partials(cudaStream_t stream, const float* partials, std::size_t slices,
                           const std::uint32_t* targets, std::size_t tokens, float* nll);

}  // namespace fp8cal
