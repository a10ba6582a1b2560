#pragma once

#include <cuda_runtime_api.h>

#include <functional>
#include <memory>

#include "kernels/recording.hpp"

namespace fp8cal {

/// What `calls` ask of the stream, as one CUDA graph; nothing of it runs before it is replayed.
/// Other streams take part where they wait for this one and this one for them.
std::unique_ptr<Recording> record_graph(cudaStream_t stream, const std::function<void()>& calls);

/// Whether calls on the stream are being recorded.
bool is_recording(cudaStream_t stream);

}  // namespace fp8cal
