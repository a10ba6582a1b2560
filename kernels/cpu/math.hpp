#pragma once

#include <cstdint>

namespace fp8cal {

/// exp and log with fixed operations, so that their bits depend on neither the C library nor the
/// CPU. They have internal linkage and call nothing, because they are compiled for several
/// instruction sets in one program. Compile with -ffp-contract=off.

/// e^x within 1.1 ulp; below half of the least subnormal 0, overflow infinity, NaN stays NaN.
/// x = n ln 2 + r with |r| <= ln 2 / 2, and a Taylor polynomial of degree 7 in r.
static inline float exp_f32(float x) {
  // Added to a small number this leaves its nearest integer in the low bits.
  constexpr float kShift = 12582912.0f;  // 1.5 * 2^23
  constexpr float kLog2E = 1.44269504f;
  constexpr float kLn2High = 0.693359375f;  // 9 bits: n * kLn2High is exact
  constexpr float kLn2Low = -2.12194440e-4f;
  x = x < -104.0f ? -104.0f : x;
  x = x > 89.0f ? 89.0f : x;
  const float shifted = x * kLog2E + kShift;
  const float n = shifted - kShift;
  const float r = (x - n * kLn2High) - n * kLn2Low;
  float p = 1.0f / 5040.0f;
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = (p * r) * r + r;
  p = p + 1.0f;
  // 2^n as two factors, so that the result may be subnormal or infinite and rounds once.
  const std::uint32_t exponent =
      __builtin_bit_cast(std::uint32_t, shifted) - __builtin_bit_cast(std::uint32_t, kShift);
  const std::uint32_t half = static_cast<std::uint32_t>(static_cast<std::int32_t>(exponent) >> 1);
  const float first = __builtin_bit_cast(float, (half + 127u) << 23);
  const float second = __builtin_bit_cast(float, (exponent - half + 127u) << 23);
  return (p * first) * second;
}

/// The natural logarithm within 1 ulp; 0 gives -infinity, negative numbers NaN.
/// x = 2^e m with m in [sqrt(1/2), sqrt(2)); log m = 2 artanh(s) with s = (m - 1) / (m + 1), in
/// double, where no float is subnormal.
static inline float log_f32(float x) {
  constexpr double kLn2 = 0.693147180559945309;
  constexpr std::uint64_t kSqrtHalf = 0x3FE6A09E667F3BCDu;  // bits of sqrt(1/2)
  if (!(x > 0.0f)) return x == 0.0f ? -__builtin_inff() : __builtin_nanf("");
  if (x > 3.40282347e38f) return x;
  const std::uint64_t bits = __builtin_bit_cast(std::uint64_t, static_cast<double>(x));
  const std::int64_t e = static_cast<std::int64_t>(bits - kSqrtHalf) >> 52;
  const double m = __builtin_bit_cast(double, bits - (static_cast<std::uint64_t>(e) << 52));
  const double s = (m - 1.0) / (m + 1.0);
  const double square = s * s;
  double series = 0.0;
  for (int term = 23; term >= 1; term -= 2) series = series * square + 1.0 / term;
  return static_cast<float>(static_cast<double>(e) * kLn2 + 2.0 * s * series);
}

}  // namespace fp8cal
