#pragma once

#include "kernels/backend.hpp"
#include "kernels/cpu/context.hpp"

namespace fp8cal {

/// As Backend::row_errors.
void cpu_row_errors(const CpuContext& context, ConstMatrix x, ConstMatrix codes, Scales scale,
                    RowError* errors);

}  // namespace fp8cal
