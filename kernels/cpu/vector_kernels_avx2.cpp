#include <immintrin.h>

#include "kernels/cpu/instruction_sets.hpp"

namespace fp8cal {
namespace {

// 12 sums, 2 weights and 1 factor fill 15 of 16 registers.
constexpr int kLanes = 8;
constexpr int kTileRows = 6;
using Floats = float __attribute__((vector_size(32)));

inline Floats fused(float x, Floats weight, Floats sum) {
  return _mm256_fmadd_ps(_mm256_set1_ps(x), weight, sum);
}

}  // namespace
}  // namespace fp8cal

#include "kernels/cpu/panel_kernels.inc"
#include "kernels/cpu/row_kernels.inc"
#include "kernels/cpu/vector_table.inc"

namespace fp8cal {

const VectorKernels& avx2_kernels() {
  static constexpr VectorKernels kTable = vector_table("avx2");
  return kTable;
}

}  // namespace fp8cal
