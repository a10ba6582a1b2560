#pragma once

#include "kernels/backend.hpp"
#include "kernels/cpu/context.hpp"

namespace fp8cal {

/// As the methods of Backend with the same names.
void cpu_multiply(const CpuContext& context, ConstMatrix x, ConstMatrix weight, Matrix out);
void cpu_multiply_scaled(const CpuContext& context, ConstMatrix x, Scales x_scale,
                         ConstMatrix weight, Scales weight_scale, Matrix out);
void cpu_multiply_few(const CpuContext& context, ConstMatrix x, Scales x_scale, ConstMatrix weight,
                      Scales weight_scale, Matrix out);

}  // namespace fp8cal
