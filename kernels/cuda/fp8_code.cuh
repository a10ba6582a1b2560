#pragma once

#include <cuda_fp8.h>

#include <cstdint>

#include "kernels/cuda/pack.cuh"

namespace fp8cal {

/// The code of a NaN quotient. A GPU's NaN has no sign: it is the operand's where that is NaN, and
/// else that of x86, negative.
__device__ inline std::uint8_t nan_code(std::uint16_t x, float scale) {
  const std::uint32_t bits = __float_as_uint(scale);
  std::uint32_t sign = 0x80u;
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) sign = (bits >> 24) & 0x80u;
  if ((x & 0x7FFFu) > 0x7F80u) sign = (x >> 8) & 0x80u;
  return static_cast<std::uint8_t>(sign | 0x7Fu);
}

/// As float_to_e4m3 and float_to_e5m2 of the true quotient.
template <__nv_fp8_interpretation_t format>
__device__ inline std::uint8_t exact_code(std::uint16_t x, float scale) {
  const float quotient = __fdiv_rn(to_float(x), scale);
  if (isnan(quotient)) return nan_code(x, scale);
  return __nv_cvt_float_to_fp8(quotient, __NV_SATFINITE, format);
}

}  // namespace fp8cal
