#include "coordinator/distribution.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/float_formats.hpp"

namespace fp8cal {

Distribution::Distribution(const std::vector<std::uint64_t>& histogram) {
  Bin sums{};
  for (std::size_t b = 0; b < histogram.size(); ++b) {
    if (histogram[b] == 0) continue;
    const double count = static_cast<double>(histogram[b]);
    const double magnitude = bf16_to_float(static_cast<bf16_bits>(b));
    sums.magnitude = static_cast<float>(magnitude);
    sums.count += count;
    sums.first_moment += count * magnitude;
    sums.second_moment += count * magnitude * magnitude;
    bins_.push_back(sums);
  }
}

float Distribution::clipping_magnitude(const ScalePolicy& policy) const {
  if (bins_.empty()) return 0.0f;
  switch (policy.kind) {
    case ScalePolicy::Kind::percentile:
      return percentile(policy.percent);
    case ScalePolicy::Kind::mse:
      return least_squared_error();
    case ScalePolicy::Kind::amax:
      break;
  }
  return bins_.back().magnitude;
}

float Distribution::percentile(double percent) const {
  const double needed = percent / 100 * bins_.back().count;
  const auto reached =
      std::find_if(bins_.begin(), bins_.end(), [&](const Bin& bin) { return bin.count >= needed; });
  return reached == bins_.end() ? bins_.back().magnitude : reached->magnitude;
}

/// Every BF16 magnitude from the largest element down is tried, until clipping alone costs more
/// than the best so far: no smaller one can be better.
float Distribution::least_squared_error() const {
  float best = bins_.back().magnitude;
  double least = squared_error(scale_of(best, kE4M3Max));
  for (bf16_bits bits = float_to_bf16(best); bits > 0; --bits) {
    const float magnitude = bf16_to_float(bits);
    const float scale = scale_of(magnitude, kE4M3Max);
    if (scale <= 0.0f) break;
    const auto above = std::upper_bound(bins_.begin(), bins_.end(), magnitude,
                                        [](float m, const Bin& bin) { return m < bin.magnitude; });
    double clipped = 0;
    if (above != bins_.end()) {
      const Bin below = above == bins_.begin() ? Bin{} : *(above - 1);
      const double m = magnitude;
      const Bin& all = bins_.back();
      clipped = all.second_moment - below.second_moment -
                2 * m * (all.first_moment - below.first_moment) + m * m * (all.count - below.count);
    }
    if (clipped > least) break;
    const double error = squared_error(scale);
    if (error < least) {
      least = error;
      best = magnitude;
    }
  }
  return best;
}

/// Magnitudes that round to the same code lie side by side, so their sums are differences.
double Distribution::squared_error(float scale) const {
  const auto code_of = [&](const Bin& bin) {
    return float_to_e4m3(std::min(bin.magnitude / scale, kE4M3Max));
  };
  double error = 0;
  Bin below{};
  for (auto first = bins_.begin(); first != bins_.end();) {
    const std::uint8_t code = code_of(*first);
    const auto end = std::partition_point(first, bins_.end(),
                                          [&](const Bin& bin) { return code_of(bin) <= code; });
    const Bin& last = *(end - 1);
    const double value = static_cast<double>(e4m3_to_float(code)) * static_cast<double>(scale);
    error += last.second_moment - below.second_moment -
             2 * value * (last.first_moment - below.first_moment) +
             value * value * (last.count - below.count);
    below = last;
    first = end;
  }
  return std::max(error, 0.0);
}

}  // namespace fp8cal
