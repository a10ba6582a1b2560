#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace fp8cal {

/// Makes OpenBLAS use the instruction set that our kernels use, on one thread. Releases older than
/// a CPU take it for a much older one, and would be compared at a third of their speed. OpenBLAS
/// reads the choice when it is loaded, so this may start the program again with the same arguments;
/// a choice in the environment stays.
void use_fitting_openblas_core(char** arguments);

/// The operands of one product, in bf16 for us and in f32 for OpenBLAS.
class ProductOperands {
 public:
  ProductOperands(std::size_t rows, std::size_t columns, std::size_t depth);

  double flops() const;
  /// out = x * transposed(weight) through cblas_sgemm.
  void multiply_with_openblas();

  std::size_t rows, columns, depth;
  std::vector<std::uint16_t> x;       // [rows, depth] bf16
  std::vector<std::uint16_t> weight;  // [columns, depth] bf16
  std::vector<std::uint16_t> out;     // [rows, columns] bf16

 private:
  std::vector<float> wide_x_;       // [rows, depth]
  std::vector<float> wide_weight_;  // [columns, depth]
  std::vector<float> wide_out_;     // [rows, columns]
};

}  // namespace fp8cal
