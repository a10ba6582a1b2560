#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <memory>

#include "kernels/cuda/cuda_check.hpp"

namespace fp8cal {

struct FreeDeviceMemory {
  void operator()(void* data) const noexcept { static_cast<void>(cudaFree(data)); }
};

/// Owns memory of the device that was current when it was allocated. Freeing waits for the device.
using DeviceMemory = std::unique_ptr<void, FreeDeviceMemory>;

inline DeviceMemory allocate_device_memory(std::size_t bytes) {
  void* data = nullptr;
  FP8CAL_CUDA(cudaMalloc(&data, bytes));
  return DeviceMemory(data);
}

}  // namespace fp8cal
