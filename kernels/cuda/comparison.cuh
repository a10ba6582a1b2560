#pragma once

#include <cuda_runtime_api.h>

#include "kernels/backend.hpp"

namespace fp8cal {

/// As Backend's methods.
void cuda_comparison_partials(cudaStream_t stream, ConstMatrix p, ConstMatrix q,
                              std::uint32_t first_id, ComparisonPartial* partials);
void cuda_combine_comparison(cudaStream_t stream, const ComparisonPartial* partials,
                             std::size_t slices, std::size_t tokens, float* kl,
                             std::uint8_t* same_top);

}  // namespace fp8cal
