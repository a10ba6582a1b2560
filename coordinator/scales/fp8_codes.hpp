#pragma once

#include <cstddef>
#include <vector>

#include "kernels/float_formats.hpp"

namespace fp8cal {

/// Which BF16 magnitudes round to which code of an FP8 format, as Backend::quantize rounds: x /
/// scale in f32, saturating, to nearest even. A magnitude's bin is its BF16 bits; magnitudes that
/// round to one code lie side by side.
class Fp8Codes {
 public:
  static constexpr std::size_t kBins = 0x7F80;  ///< of finite magnitudes

  static const Fp8Codes& of(Fp8Format format);

  /// The code of the largest value; those from 0 to it are the format's magnitudes in order.
  std::size_t largest() const { return values_.size() - 1; }
  float value(std::size_t code) const { return values_[code]; }

  /// The first bin that rounds to more than `code`; kBins where none does.
  std::size_t end(std::size_t code, float scale) const {
    return code < limits_.size() ? first_above(limits_[code], scale) : kBins;
  }

  /// The first bin whose magnitude / scale, in f32, exceeds `quotient`; kBins where none does.
  static std::size_t first_above(float quotient, float scale);

 private:
  explicit Fp8Codes(Fp8Format format);

  std::vector<float> values_;
  std::vector<float> limits_;  // the largest f32 that rounds to each code but the last
};

}  // namespace fp8cal
