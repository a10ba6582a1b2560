#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "kernels/backend.hpp"

namespace fp8cal {

/// Backend::top_tokens.
void cuda_top_tokens(cudaStream_t stream, ConstMatrix logits, std::uint32_t first_id,
                     TopToken* tops);

/// Backend::next_tokens.
void cuda_next_tokens(cudaStream_t stream, const TopToken* tops, std::size_t slices,
                      std::size_t rows, std::uint32_t* ids, std::uint32_t* positions);

}  // namespace fp8cal
