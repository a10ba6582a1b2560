#pragma once

#include <vector>

#include "kernels/cpu/vector_kernels.hpp"

namespace fp8cal {

/// The tables that this CPU can run, the fastest first. All compute the same bits.
std::vector<const VectorKernels*> available_vector_kernels();

const VectorKernels& baseline_kernels();
#ifdef FP8CAL_X86_KERNELS
const VectorKernels& avx2_kernels();
const VectorKernels& avx512_kernels();
#endif

}  // namespace fp8cal
