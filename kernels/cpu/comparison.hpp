#pragma once

#include "kernels/backend.hpp"
#include "kernels/cpu/context.hpp"

namespace fp8cal {

/// As Backend::comparison_partials and Backend::combine_comparison.
void cpu_comparison_partials(const CpuContext& context, ConstMatrix p, ConstMatrix q,
                             std::uint32_t first_id, ComparisonPartial* partials);
void cpu_combine_comparison(const CpuContext& context, const ComparisonPartial* partials,
                            std::size_t slices, std::size_t tokens, float* kl,
                            std::uint8_t* same_top);

}  // namespace fp8cal
