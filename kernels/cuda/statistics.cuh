#pragma once

#include <cuda_runtime_api.h>

#include "kernels/backend.hpp"

namespace fp8cal {

/// As Backend's methods.
void cuda_row_amax(cudaStream_t stream, ConstMatrix x, std::uint32_t* amax);
void cuda_observe(cudaStream_t stream, ConstMatrix x, std::size_t first_row,
                  std::size_t sequence_length, const Observation& into);

}  // namespace fp8cal
