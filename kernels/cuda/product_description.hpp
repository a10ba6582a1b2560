#pragma once

#include <cublasLt.h>

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>

#include "kernels/matrix.hpp"

namespace fp8cal {

enum class ScaleMode : std::uint8_t {
  none,     ///< bf16 operands
  scalars,  ///< one scale for each operand
  vectors,  ///< x_scale [M], weight_scale [N]
};

/// All that the choice of an algorithm may depend on, but for time. x [M, K], weight [N, K], out
/// [M, N] bf16 or f32.
struct ProductKey {
  std::size_t rows = 0;                                                    ///< M
  std::size_t columns = 0;                                                 ///< N
  std::size_t depth = 0;                                                   ///< K
  std::size_t x_stride = 0, weight_stride = 0, out_stride = 0;             ///< elements
  std::uint32_t x_alignment = 0, weight_alignment = 0, out_alignment = 0;  ///< bytes
  DType x_dtype = DType::bf16, weight_dtype = DType::bf16, out_dtype = DType::bf16;
  ScaleMode scales = ScaleMode::none;

  auto operator<=>(const ProductKey&) const = default;

  static ProductKey of(const ConstMatrix& x, const ConstMatrix& weight, const Matrix& out,
                       ScaleMode scales);
  /// "[M, K] e4m3 x [N, K] e4m3, vector scales", "[M, K] bf16 x [N, K] bf16 to f32".
  std::string to_string() const;
};

/// The device pointers of one product; the scales null where the key has none.
struct ProductOperands {
  const void* x;
  const void* weight;
  void* out;
  const float* x_scale;
  const float* weight_scale;
};

/// Algorithms of cuBLASLt for one product, the most promising first.
struct ProductAlgorithms {
  static constexpr std::size_t kRoom = 16;
  std::array<cublasLtMatmulAlgo_t, kRoom> all{};
  std::size_t count = 0;

  void add(const cublasLtMatmulAlgo_t& algorithm) { all[count++] = algorithm; }
};

/// What a product needs beside its operands.
struct ProductContext {
  cublasLtHandle_t handle;
  void* workspace;
  std::size_t workspace_bytes;
  std::uint64_t* checksums;  ///< [ProductAlgorithms::kRoom], device memory for find_fastest
  cudaStream_t stream;
};

/// cuBLASLt's description of one kind of product.
class ProductDescription {
 public:
  ProductDescription(const ProductKey& key, const ProductOperands& operands);

  /// Asks the heuristics for algorithms that sum each output element in one piece. Throws
  /// std::runtime_error where there is none.
  ProductAlgorithms algorithms(const ProductContext& context, const ProductKey& key) const;

  /// True where the algorithm can run these shapes within the workspace.
  bool takes(const ProductContext& context, const cublasLtMatmulAlgo_t& algorithm) const;

  void run(const ProductContext& context, const ProductOperands& operands,
           const cublasLtMatmulAlgo_t& algorithm);

 private:
  struct Destroy {
    void operator()(cublasLtMatmulDesc_t desc) const noexcept;
    void operator()(cublasLtMatrixLayout_t layout) const noexcept;
    void operator()(cublasLtMatmulPreference_t preference) const noexcept;
  };
  template <class Handle>
  using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, Destroy>;
  using Layout = Owned<cublasLtMatrixLayout_t>;

  static Layout make_layout(DType dtype, std::size_t rows, std::size_t columns, std::size_t stride);
  void set_scales(const ProductOperands& operands);
  ProductAlgorithms ask(const ProductContext& context, const ProductKey& key,
                        std::uint32_t reductions) const;

  bool scaled_;
  Owned<cublasLtMatmulDesc_t> desc_;
  Layout weight_, x_, out_;
};

}  // namespace fp8cal
