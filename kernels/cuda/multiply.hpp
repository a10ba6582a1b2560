#pragma once

#include <cublasLt.h>

#include <cstddef>
#include <map>
#include <memory>
#include <type_traits>

#include "kernels/backend.hpp"
#include "kernels/cuda/device_memory.hpp"
#include "kernels/cuda/product_plan.hpp"

namespace fp8cal {

/// Matrix products through cuBLASLt on the device that is current at construction. Each output
/// element is summed in one piece over k, so that its bits do not depend on how rows and columns
/// are sliced over calls; gemm_check.hpp proves it for given shapes. All calls on one stream, since
/// they share a workspace, and from one thread.
class CudaMultiply {
 public:
  CudaMultiply();
  CudaMultiply(const CudaMultiply&) = delete;
  CudaMultiply& operator=(const CudaMultiply&) = delete;

  /// As Backend::multiply.
  void multiply(cudaStream_t stream, ConstMatrix x, ConstMatrix weight, Matrix out);

  /// As Backend::multiply_scaled, within what the tensor cores take: K and N multiples of 16,
  /// matrices and rows that start at multiples of 16 bytes, not both operands e5m2; otherwise
  /// std::invalid_argument. Throws std::runtime_error on GPUs without FP8 (below sm_89). Where one
  /// scale alone is a vector, both are handed to cuBLASLt as vectors.
  void multiply_scaled(cudaStream_t stream, ConstMatrix x, Scales x_scale, ConstMatrix weight,
                       Scales weight_scale, Matrix out);

 private:
  struct DestroyHandle {
    void operator()(cublasLtHandle_t handle) const noexcept;
  };

  void run(cudaStream_t stream, const ProductKey& key, const ProductOperands& operands);
  void reserve_scales(std::size_t count);

  std::unique_ptr<std::remove_pointer_t<cublasLtHandle_t>, DestroyHandle> handle_;
  DeviceMemory workspace_;
  DeviceMemory scales_;  // [scales_count_] f32, for scales that must be made vectors
  std::size_t scales_count_ = 0;
  std::map<ProductKey, ProductPlan> plans_;
  bool has_fp8_ = false;
};

}  // namespace fp8cal
