#include "kernels/cuda/cuda_check.hpp"
#include "kernels/cuda/device_attributes.hpp"

namespace fp8cal {

int attribute_of_device(cudaDeviceAttr attribute) {
  int device = 0, value = 0;
  FP8CAL_CUDA(cudaGetDevice(&device));
  FP8CAL_CUDA(cudaDeviceGetAttribute(&value, attribute, device));
  return value;
}

bool can_launch_early() { return attribute_of_device(cudaDevAttrComputeCapabilityMajor) >= 9; }

}  // namespace fp8cal
