#pragma once

#include <cstdint>
#include <vector>

#include "coordinator/scales/magnitude_sums.hpp"
#include "jobs/scale_policy.hpp"
#include "kernels/float_formats.hpp"

namespace fp8cal {

/// The exact distribution of a tensor's magnitudes, for questions about any scale. Quantization is
/// Backend::quantize's: x / scale in f32, saturating, to nearest even.
class Distribution {
 public:
  /// histogram [32768]: bin b counts the elements whose low 15 BF16 bits are b; none of them is
  /// infinite or NaN.
  explicit Distribution(const std::vector<std::uint64_t>& histogram);

  /// The magnitude that the largest number of `format` stands for: scale = that / largest.
  float clipping_magnitude(const ScalePolicy& policy, Fp8Format format) const;

  std::uint64_t elements() const { return below_.back().elements; }
  /// Those of a magnitude above `magnitude`, a BF16 number.
  std::uint64_t elements_above(float magnitude) const;
  /// Those that saturate: |x| / scale in f32 exceeds the largest value by more than one f32 step,
  /// which is what rounding can add to amax / (amax / largest): amax's own scale clips nothing.
  std::uint64_t clipped(float scale, Fp8Format format) const;
  /// Those that are not zero and become zero.
  std::uint64_t flushed(float scale, Fp8Format format) const;

  /// Sum of x^2 over the elements, magnitudes upwards.
  double energy() const { return below_.back().second_moment; }
  /// Sum of (x - dequantized x)^2 over the elements, magnitudes upwards.
  double squared_error(float scale, Fp8Format format) const;
  /// Over the elements of at most `magnitude`, a BF16 number, alone.
  double squared_error_up_to(float magnitude, float scale, Fp8Format format) const;

 private:
  float percentile(double percent) const;
  float least_squared_error(Fp8Format format) const;
  double quick_squared_error(float scale, Fp8Format format) const;

  std::vector<MagnitudeSums> below_;  // by bin
  float amax_ = 0;
};

}  // namespace fp8cal
