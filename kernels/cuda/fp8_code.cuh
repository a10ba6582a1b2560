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

/// The quotients x / scale, rounded once, where scale is within [2^-40, 2^40]. With the
/// reciprocal's nearest float, one step of Newton's gives the nearest float of the quotient for
/// each of the 2^7 significands of x and 2^23 of scale (all of them tried). Beyond the exponents
/// for which that holds, a quotient is NaN, or as far outside the range of FP8 as the true one.
class Divisor {
 public:
  __device__ explicit Divisor(float scale)
      : scale_(scale),
        reciprocal_(1.0f / scale),
        in_range_(fabsf(scale) >= 0x1p-40f && fabsf(scale) <= 0x1p40f) {}

  __device__ float scale() const { return scale_; }
  __device__ bool in_range() const { return in_range_; }

  __device__ float quotient(std::uint16_t x) const {
    const float value = to_float(x);
    const float near = __fmul_rn(value, reciprocal_);
    const float nearest = __fmaf_rn(__fmaf_rn(-near, scale_, value), reciprocal_, near);
    return copysignf(nearest, near);  // -0 would become +0
  }

 private:
  float scale_;
  float reciprocal_;
  bool in_range_;
};

/// As exact_code, and faster.
template <__nv_fp8_interpretation_t format>
__device__ inline std::uint8_t code_of(std::uint16_t x, const Divisor& divisor) {
  const float quotient = divisor.quotient(x);
  if (!divisor.in_range() || isnan(quotient)) return exact_code<format>(x, divisor.scale());
  return __nv_cvt_float_to_fp8(quotient, __NV_SATFINITE, format);
}

/// The codes of a pack none of whose quotients is NaN, by a divisor in its range.
template <__nv_fp8_interpretation_t format>
__device__ uint2 ordinary_codes(const Pack& pack, const Divisor& divisor) {
  std::uint32_t pairs[kPack / 2];
#pragma unroll
  for (unsigned i = 0; i < kPack / 2; ++i) {
    const float2 quotients = {divisor.quotient(pack.at[2 * i]),
                              divisor.quotient(pack.at[2 * i + 1])};
    pairs[i] = __nv_cvt_float2_to_fp8x2(quotients, __NV_SATFINITE, format);
  }
  return {pairs[0] | pairs[1] << 16, pairs[2] | pairs[3] << 16};
}

/// The codes of any pack.
template <__nv_fp8_interpretation_t format>
__device__ uint2 exact_codes(const Pack& pack, float scale) {
  std::uint64_t codes = 0;
#pragma unroll 1
  for (unsigned i = 0; i < kPack; ++i) {
    codes |= std::uint64_t{exact_code<format>(pack.at[i], scale)} << 8 * i;
  }
  return {static_cast<std::uint32_t>(codes), static_cast<std::uint32_t>(codes >> 32)};
}

/// codes = e4m3 or e5m2 of n elements, an even number. Whatever is out of the ordinary is done once
/// more, in full.
template <__nv_fp8_interpretation_t format, unsigned n>
__device__ void quantize_elements(const std::uint16_t* elements, const Divisor& divisor,
                                  std::uint8_t* codes) {
  bool ordinary = divisor.in_range();
#pragma unroll
  for (unsigned i = 0; i < n; i += 2) {
    const float2 quotients = {divisor.quotient(elements[i]), divisor.quotient(elements[i + 1])};
    ordinary = ordinary && !isnan(quotients.x) && !isnan(quotients.y);
    const std::uint32_t both = __nv_cvt_float2_to_fp8x2(quotients, __NV_SATFINITE, format);
    codes[i] = static_cast<std::uint8_t>(both & 0xFFu);
    codes[i + 1] = static_cast<std::uint8_t>(both >> 8);
  }
  if (ordinary) return;
#pragma unroll
  for (unsigned i = 0; i < n; ++i) codes[i] = exact_code<format>(elements[i], divisor.scale());
}

}  // namespace fp8cal
