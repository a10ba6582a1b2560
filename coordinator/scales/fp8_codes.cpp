#include "coordinator/scales/fp8_codes.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace fp8cal {

const Fp8Codes& Fp8Codes::of(Fp8Format format) {
  static const Fp8Codes e4m3(Fp8Format::e4m3);
  static const Fp8Codes e5m2(Fp8Format::e5m2);
  return format == Fp8Format::e4m3 ? e4m3 : e5m2;
}

Fp8Codes::Fp8Codes(Fp8Format format) {
  const std::uint8_t largest = float_to_fp8(format, largest_of(format));
  for (std::uint8_t code = 0; code <= largest; ++code) {
    values_.push_back(fp8_to_float(format, code));
    if (code == 0) continue;
    const float middle = (values_[code - 1u] + values_[code]) / 2;
    const bool tie_goes_up = code % 2 == 0;
    limits_.push_back(tie_goes_up ? std::nextafter(middle, 0.0f) : middle);
  }
}

std::size_t Fp8Codes::first_above(float quotient, float scale) {
  const auto exceeds = [&](std::size_t bin) {
    return bf16_to_float(static_cast<bf16_bits>(bin)) / scale > quotient;
  };
  // The product lies within one bin of the place: the quotients decide.
  const std::uint32_t product = std::bit_cast<std::uint32_t>(quotient * scale);
  std::size_t bin = std::min<std::size_t>(product >> 16, kBins);
  while (bin > 0 && exceeds(bin - 1)) --bin;
  while (bin < kBins && !exceeds(bin)) ++bin;
  return bin;
}

}  // namespace fp8cal
