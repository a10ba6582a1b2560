#pragma once

#include "kernels/backend.hpp"
#include "kernels/cpu/context.hpp"

namespace fp8cal {

/// As the methods of Backend with the same names.
void cpu_embed(const CpuContext& context, const std::uint32_t* ids, ConstMatrix table,
               std::uint32_t first_id, Matrix out);
void cpu_add_rms_norm(const CpuContext& context, Matrix residual, ConstMatrix delta,
                      ConstMatrix weight, float epsilon, Matrix out);
void cpu_add(const CpuContext& context, Matrix residual, ConstMatrix delta);
void cpu_rope(const CpuContext& context, Matrix x, std::size_t head_dim, ConstMatrix cosine,
              ConstMatrix sine);
void cpu_silu_multiply(const CpuContext& context, ConstMatrix gate, ConstMatrix up, Matrix out);
void cpu_interleave_columns(const CpuContext& context, const void* gathered, std::size_t parts,
                            Matrix out);

}  // namespace fp8cal
