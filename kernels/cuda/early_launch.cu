#include <cuda_runtime_api.h>

#include "kernels/cuda/cuda_check.hpp"
#include "kernels/cuda/early_launch.hpp"

namespace fp8cal {

bool can_launch_early() {
  int device = 0, major = 0;
  FP8CAL_CUDA(cudaGetDevice(&device));
  FP8CAL_CUDA(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
  return major >= 9;
}

}  // namespace fp8cal
