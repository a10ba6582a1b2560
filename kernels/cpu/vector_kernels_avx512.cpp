#include <immintrin.h>

#include "kernels/cpu/instruction_sets.hpp"

namespace fp8cal {
namespace {

// 28 sums, 2 weights and 1 factor fill 31 of 32 registers.
constexpr int kLanes = 16;
constexpr int kTileRows = 14;
using Floats = float __attribute__((vector_size(64)));

inline Floats fused(float x, Floats weight, Floats sum) {
  return _mm512_fmadd_ps(_mm512_set1_ps(x), weight, sum);
}

}  // namespace
}  // namespace fp8cal

#include "kernels/cpu/panel_kernels.inc"
#include "kernels/cpu/row_kernels.inc"
#include "kernels/cpu/vector_table.inc"

namespace fp8cal {

const VectorKernels& avx512_kernels() {
  static constexpr VectorKernels kTable = vector_table("avx512");
  return kTable;
}

}  // namespace fp8cal
