#pragma once

#include "kernels/backend.hpp"
#include "kernels/cpu/context.hpp"

namespace fp8cal {

/// As Backend::quantize and Backend::quantize_rows.
void cpu_quantize(const CpuContext& context, ConstMatrix x, Scales scale, Matrix out);
void cpu_quantize_rows(const CpuContext& context, ConstMatrix x, Matrix out, float* scales);

}  // namespace fp8cal
