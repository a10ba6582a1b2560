#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

#include "kernels/backend.hpp"

namespace fp8cal {

/// to [count] f32 = the scales, a single one repeated. scales.count is 1 or `count`.
void cuda_spread_scales(cudaStream_t stream, Scales scales, std::size_t count, float* to);

}  // namespace fp8cal
