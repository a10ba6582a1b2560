#pragma once

#include <cuda_runtime_api.h>

#include "kernels/backend.hpp"

namespace fp8cal {

/// The stream on which all work of a CUDA backend runs in order. Throws std::invalid_argument where
/// the backend is not CUDA.
cudaStream_t cuda_stream(const Backend& backend);

}  // namespace fp8cal
