#pragma once

#include "kernels/backend.hpp"
#include "kernels/cpu/context.hpp"

namespace fp8cal {

/// As Backend::row_amax and Backend::observe.
void cpu_row_amax(const CpuContext& context, ConstMatrix x, std::uint32_t* amax);
void cpu_observe(const CpuContext& context, ConstMatrix x, std::size_t first_row,
                 std::size_t sequence_length, const Observation& into);

}  // namespace fp8cal
