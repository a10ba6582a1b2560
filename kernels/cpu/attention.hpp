#pragma once

#include "kernels/backend.hpp"
#include "kernels/cpu/context.hpp"

namespace fp8cal {

/// As Backend::attention.
void cpu_attention(const CpuContext& context, ConstMatrix q, ConstMatrix k, ConstMatrix v,
                   std::size_t head_dim, std::size_t sequence_length, Matrix out);

}  // namespace fp8cal
