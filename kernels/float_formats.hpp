#pragma once

#include <bit>
#include <cstdint>

namespace fp8cal {

/// Conversions between the storage formats and float. All round to nearest even.
/// FP8: Micikevicius et al., "FP8 Formats for Deep Learning", arXiv 2209.05433; E4M3 has no
/// infinity and one NaN a sign (0x7F, 0xFF), E5M2 follows IEEE 754.

/// The largest finite value of each FP8 format.
inline constexpr float kE4M3Max = 448.0f;
inline constexpr float kE5M2Max = 57344.0f;

using bf16_bits = std::uint16_t;

inline float bf16_to_float(bf16_bits bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

/// Overflow gives infinity; NaN stays NaN.
inline bf16_bits float_to_bf16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = bits + 0x7FFFu + ((bits >> 16) & 1u);
  const bool is_nan = (bits & 0x7FFFFFFFu) > 0x7F800000u;
  return static_cast<bf16_bits>((is_nan ? (bits | 0x00400000u) : rounded) >> 16);
}

/// `value` rounded to the nearest BF16.
inline float round_to_bf16(float value) { return bf16_to_float(float_to_bf16(value)); }

float fp16_to_float(std::uint16_t bits);

/// Saturating: beyond the largest finite value gives that value with its sign; NaN gives NaN.
std::uint8_t float_to_e4m3(float value);
std::uint8_t float_to_e5m2(float value);
float e4m3_to_float(std::uint8_t bits);
float e5m2_to_float(std::uint8_t bits);

enum class Fp8Format : std::uint8_t { e4m3, e5m2 };

inline float largest_of(Fp8Format format) {
  return format == Fp8Format::e4m3 ? kE4M3Max : kE5M2Max;
}
/// As float_to_e4m3 and float_to_e5m2, e4m3_to_float and e5m2_to_float.
inline std::uint8_t float_to_fp8(Fp8Format format, float value) {
  return format == Fp8Format::e4m3 ? float_to_e4m3(value) : float_to_e5m2(value);
}
inline float fp8_to_float(Fp8Format format, std::uint8_t bits) {
  return format == Fp8Format::e4m3 ? e4m3_to_float(bits) : e5m2_to_float(bits);
}

/// scale = amax / max_value in float; an amax of zero gives scale 1.
inline float scale_of(float amax, float max_value) {
  return amax == 0.0f ? 1.0f : amax / max_value;
}

}  // namespace fp8cal
