#pragma once

#include "kernels/backend.hpp"
#include "kernels/cpu/context.hpp"

namespace fp8cal {

/// As Backend::dequantize.
void cpu_dequantize(const CpuContext& context, ConstMatrix codes, Scales scale, Matrix out);

}  // namespace fp8cal
