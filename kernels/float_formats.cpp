#include "kernels/float_formats.hpp"

#include <cmath>

namespace fp8cal {
namespace {

/// Rounds |value| to a format with `mantissa` explicit bits, exponent bias `bias`, and no bits
/// above `max_code`, the code of its largest finite value.
template <int mantissa, int bias>
std::uint8_t magnitude_code(float magnitude, std::uint8_t max_code) {
  constexpr int kDropped = 23 - mantissa;
  constexpr int kMinExponent = 1 - bias;  // of normal numbers
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(magnitude);
  const int exponent = static_cast<int>(bits >> 23) - 127;
  std::uint32_t code;
  if (exponent < kMinExponent) {
    // Subnormal: a multiple of 2^(kMinExponent - mantissa). Scaling by a power of two is exact, and
    // nearbyint rounds to nearest even in the default rounding mode.
    code =
        static_cast<std::uint32_t>(std::nearbyint(std::ldexp(magnitude, mantissa - kMinExponent)));
  } else {
    const std::uint32_t rebased = bits - (static_cast<std::uint32_t>(127 - bias) << 23);
    code = (rebased + (1u << (kDropped - 1)) - 1 + ((rebased >> kDropped) & 1u)) >> kDropped;
  }
  return static_cast<std::uint8_t>(code < max_code ? code : max_code);
}

template <int mantissa, int bias>
float magnitude_value(std::uint8_t code) {
  const int exponent = code >> mantissa;
  const int fraction = code & ((1 << mantissa) - 1);
  if (exponent == 0) return std::ldexp(static_cast<float>(fraction), 1 - bias - mantissa);
  return std::ldexp(static_cast<float>(fraction + (1 << mantissa)), exponent - bias - mantissa);
}

std::uint8_t sign_of(float value) {
  return static_cast<std::uint8_t>((std::bit_cast<std::uint32_t>(value) >> 24) & 0x80u);
}

}  // namespace

float fp16_to_float(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 0x1F;
  const int fraction = bits & 0x3FF;
  float magnitude;
  if (exponent == 0x1F) {
    magnitude = fraction == 0 ? INFINITY : NAN;
  } else if (exponent == 0) {
    magnitude = std::ldexp(static_cast<float>(fraction), -24);
  } else {
    magnitude = std::ldexp(static_cast<float>(fraction + 0x400), exponent - 25);
  }
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

std::uint8_t float_to_e4m3(float value) {
  if (std::isnan(value)) return sign_of(value) | 0x7F;
  return sign_of(value) | magnitude_code<3, 7>(std::fabs(value), 0x7E);
}

std::uint8_t float_to_e5m2(float value) {
  if (std::isnan(value)) return sign_of(value) | 0x7F;
  return sign_of(value) | magnitude_code<2, 15>(std::fabs(value), 0x7B);
}

float e4m3_to_float(std::uint8_t bits) {
  if ((bits & 0x7F) == 0x7F) return NAN;
  const float magnitude = magnitude_value<3, 7>(bits & 0x7F);
  return (bits & 0x80) != 0 ? -magnitude : magnitude;
}

float e5m2_to_float(std::uint8_t bits) {
  const std::uint8_t code = bits & 0x7F;
  if (code > 0x7C) return NAN;
  const float magnitude = code == 0x7C ? INFINITY : magnitude_value<2, 15>(code);
  return (bits & 0x80) != 0 ? -magnitude : magnitude;
}

}  // namespace fp8cal
