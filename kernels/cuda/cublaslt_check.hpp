#pragma once

#include <cublasLt.h>

#include <stdexcept>
#include <string>

namespace fp8cal {

/// Throws std::runtime_error with file, line, call and cuBLAS's text unless `status` is success.
inline void check_cublaslt(cublasStatus_t status, const char* call, const char* file, int line) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw std::runtime_error(std::string(file) + ":" + std::to_string(line) + ": " + call + ": " +
                           cublasLtGetStatusName(status) + ": " + cublasLtGetStatusString(status));
}

}  // namespace fp8cal

/// Evaluates `call` once and throws where it failed.
#define FP8CAL_CUBLASLT(call) ::fp8cal::check_cublaslt((call), #call, __FILE__, __LINE__)
