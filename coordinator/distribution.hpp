#pragma once

#include <cstdint>
#include <vector>

#include "jobs/scale_policy.hpp"

namespace fp8cal {

/// The exact distribution of a tensor's magnitudes, for questions about any scale.
class Distribution {
 public:
  /// histogram [32768]: bin b counts the elements whose low 15 BF16 bits are b; none of them is
  /// infinite or NaN.
  explicit Distribution(const std::vector<std::uint64_t>& histogram);

  /// The magnitude that the largest number of E4M3, 448, stands for: scale = that / 448.
  float clipping_magnitude(const ScalePolicy& policy) const;

  /// Sum over the elements of (x - dequantized x)^2 for E4M3 with `scale`, as Backend::quantize
  /// rounds: x / scale in f32, saturating, to nearest even.
  double squared_error(float scale) const;

 private:
  /// One magnitude that occurs, and sums over it and all smaller ones.
  struct Bin {
    float magnitude;
    double count;          // whole numbers, exact up to 2^53
    double first_moment;   // of count * magnitude
    double second_moment;  // of count * magnitude^2
  };

  float percentile(double percent) const;
  float least_squared_error() const;

  std::vector<Bin> bins_;  // by magnitude
};

}  // namespace fp8cal
