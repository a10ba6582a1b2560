#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "kernels/kv_cache.hpp"

namespace fp8cal {

/// Backend::rope_append.
void cuda_rope_append(cudaStream_t stream, Matrix q, Matrix k, ConstMatrix v, std::size_t head_dim,
                      ConstMatrix cosine, ConstMatrix sine, const std::uint32_t* positions,
                      const KvCache& cache);

}  // namespace fp8cal
