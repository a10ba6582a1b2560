#pragma once

#include "kernels/backend.hpp"
#include "kernels/cpu/context.hpp"

namespace fp8cal {

/// As the methods of Backend with the same names. Positions beyond the cache throw
/// std::invalid_argument.
void cpu_rope_append(const CpuContext& context, Matrix q, Matrix k, ConstMatrix v,
                     std::size_t head_dim, ConstMatrix cosine, ConstMatrix sine,
                     const std::uint32_t* positions, const KvCache& cache);
void cpu_cached_attention(const CpuContext& context, ConstMatrix q, const KvCache& cache,
                          const std::uint32_t* positions, std::size_t head_dim, Matrix out);

}  // namespace fp8cal
