#include "kernels/cpu/instruction_sets.hpp"

namespace fp8cal {
namespace {

constexpr int kLanes = 4;
constexpr int kTileRows = 6;
using Floats = float __attribute__((vector_size(16)));

/// Without a fused multiply-add in hardware, double gives the same bits for bf16 and FP8 factors:
/// their product of 16 bits is exact there, at any exponent, and so the sum rounds to float as if
/// once. In float alone, a product beyond its exponents would differ.
inline Floats fused(float x, Floats weight, Floats sum) {
  for (int lane = 0; lane < kLanes; ++lane) {
#ifdef __FP_FAST_FMAF
    sum[lane] = __builtin_fmaf(x, weight[lane], sum[lane]);
#else
    sum[lane] = static_cast<float>(static_cast<double>(x) * weight[lane] + sum[lane]);
#endif
  }
  return sum;
}

}  // namespace
}  // namespace fp8cal

#include "kernels/cpu/panel_kernels.inc"
#include "kernels/cpu/row_kernels.inc"
#include "kernels/cpu/vector_table.inc"

namespace fp8cal {

const VectorKernels& baseline_kernels() {
  static constexpr VectorKernels kTable = vector_table("baseline");
  return kTable;
}

}  // namespace fp8cal
