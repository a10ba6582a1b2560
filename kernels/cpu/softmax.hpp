#pragma once

#include "kernels/backend.hpp"
#include "kernels/cpu/context.hpp"

namespace fp8cal {

/// As Backend::softmax_partials and Backend::combine_partials.
void cpu_softmax_partials(const CpuContext& context, ConstMatrix logits, std::uint32_t first_id,
                          const std::uint32_t* targets, float* partials);
void cpu_combine_partials(const CpuContext& context, const float* partials, std::size_t slices,
                          const std::uint32_t* targets, std::size_t tokens, float* nll);

}  // namespace fp8cal
