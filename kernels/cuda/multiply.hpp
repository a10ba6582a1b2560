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
/// are sliced over calls; gemm_check.hpp proves it for given shapes. A product that comes often
/// gets a faster algorithm of the same bits where there is one. All calls on one stream, since they
/// share a workspace, and from one thread.
class CudaMultiply {
 public:
  /// fp8: native takes the tensor cores for FP8 products where they know it, from sm_89 on.
  explicit CudaMultiply(Fp8Products fp8);
  CudaMultiply(const CudaMultiply&) = delete;
  CudaMultiply& operator=(const CudaMultiply&) = delete;

  /// As Backend::multiply.
  void multiply(cudaStream_t stream, ConstMatrix x, ConstMatrix weight, Matrix out);

  /// As Backend::multiply_scaled. On FP8 tensor cores within what they take: K and N multiples of
  /// 16, matrices and rows that start at multiples of 16 bytes, not both operands e5m2; otherwise
  /// std::invalid_argument. Where one scale alone is a vector, both are handed to cuBLASLt as
  /// vectors. Elsewhere blocks of both operands are dequantized, which is exact, and multiplied in
  /// BF16 to f32 sums.
  void multiply_scaled(cudaStream_t stream, ConstMatrix x, Scales x_scale, ConstMatrix weight,
                       Scales weight_scale, Matrix out);

  /// As Backend::multiply_few, by a kernel of its own where rows of x and weight lie on multiples
  /// of 16 bytes. Elsewhere as the two above; a bf16 x by an FP8 weight is std::invalid_argument
  /// there.
  void multiply_few(cudaStream_t stream, ConstMatrix x, Scales x_scale, ConstMatrix weight,
                    Scales weight_scale, Matrix out);

  /// As Backend::multiply_few_silu, `into` without row_scales, where multiply_few has a kernel of
  /// its own; elsewhere false, and nothing is done.
  bool multiply_few_silu(cudaStream_t stream, ConstMatrix x, Scales x_scale, ConstMatrix weight,
                         Scales weight_scale, Matrix out, const QuantizedRows& into);

  /// As Backend::quantize_multiply_few by a row's own scale, where there is a kernel that does both
  /// at once; elsewhere false, and nothing is done.
  bool quantize_multiply_few(cudaStream_t stream, ConstMatrix x, ConstMatrix weight,
                             Scales weight_scale, Matrix out);

  Fp8Products fp8_products() const {
    return scratch_ == nullptr ? Fp8Products::native : Fp8Products::dequantized;
  }

 private:
  struct DestroyHandle {
    void operator()(cublasLtHandle_t handle) const noexcept;
  };

  bool has_few_rows_kernel(const ConstMatrix& x, const ConstMatrix& weight) const;
  void multiply_on_tensor_cores(cudaStream_t stream, const ConstMatrix& x, Scales x_scale,
                                const ConstMatrix& weight, Scales weight_scale, const Matrix& out);
  void multiply_dequantized(cudaStream_t stream, const ConstMatrix& x, Scales x_scale,
                            const ConstMatrix& weight, Scales weight_scale, const Matrix& out);
  void run(cudaStream_t stream, const ProductKey& key, const ProductOperands& operands);
  void reserve_scales(std::size_t count);

  std::unique_ptr<std::remove_pointer_t<cublasLtHandle_t>, DestroyHandle> handle_;
  DeviceMemory workspace_;
  DeviceMemory checksums_;  // of ProductContext
  DeviceMemory scratch_;    // for ProductBlocks; null where the tensor cores know FP8
  DeviceMemory scales_;     // [scales_count_] f32, for scales that must be made vectors
  std::size_t scales_count_ = 0;
  std::map<ProductKey, ProductPlan> plans_;
};

}  // namespace fp8cal
