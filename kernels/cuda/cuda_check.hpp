#pragma once

#include <cuda_runtime_api.h>

#include <stdexcept>
#include <string>

namespace fp8cal {

/// Throws std::runtime_error with file, line, call and CUDA's text unless `status` is cudaSuccess.
inline void check_cuda(cudaError_t status, const char* call, const char* file, int line) {
  if (status == cudaSuccess) return;
  // Else the next check of a launch would report this failure once more.
  static_cast<void>(cudaGetLastError());
  throw std::runtime_error(std::string(file) + ":" + std::to_string(line) + ": " + call + ": " +
                           cudaGetErrorName(status) + ": " + cudaGetErrorString(status));
}

}  // namespace fp8cal

/// Evaluates `call` once and throws where it failed. After a kernel launch:
/// FP8CAL_CUDA(cudaGetLastError()).
#define FP8CAL_CUDA(call) ::fp8cal::check_cuda((call), #call, __FILE__, __LINE__)
