#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <type_traits>

#include "kernels/cuda/cuda_check.hpp"

namespace fp8cal {

struct DestroyCudaStream {
  void operator()(cudaStream_t stream) const noexcept {
    static_cast<void>(cudaStreamSynchronize(stream));
    static_cast<void>(cudaStreamDestroy(stream));
  }
};
/// A stream of the device that was current when it was made. Its end waits for its work.
using CudaStream = std::unique_ptr<std::remove_pointer_t<cudaStream_t>, DestroyCudaStream>;

struct DestroyCudaEvent {
  void operator()(cudaEvent_t event) const noexcept { static_cast<void>(cudaEventDestroy(event)); }
};
using CudaEvent = std::unique_ptr<std::remove_pointer_t<cudaEvent_t>, DestroyCudaEvent>;

/// A stream beside those of others: without the legacy stream's order.
inline CudaStream create_cuda_stream() {
  cudaStream_t stream = nullptr;
  FP8CAL_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return CudaStream(stream);
}

/// The same, before all others where multiprocessors are scarce.
inline CudaStream create_urgent_cuda_stream() {
  int least = 0, greatest = 0;
  FP8CAL_CUDA(cudaDeviceGetStreamPriorityRange(&least, &greatest));
  cudaStream_t stream = nullptr;
  FP8CAL_CUDA(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, greatest));
  return CudaStream(stream);
}

/// flags: of cudaEventCreateWithFlags.
inline CudaEvent create_cuda_event(unsigned flags = cudaEventDisableTiming) {
  cudaEvent_t event = nullptr;
  FP8CAL_CUDA(cudaEventCreateWithFlags(&event, flags));
  return CudaEvent(event);
}

}  // namespace fp8cal
