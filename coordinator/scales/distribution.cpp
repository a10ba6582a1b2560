#include "coordinator/scales/distribution.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "coordinator/scales/entropy_policy.hpp"
#include "coordinator/scales/fp8_codes.hpp"

namespace fp8cal {
namespace {

float magnitude_of(std::size_t bin) { return bf16_to_float(static_cast<bf16_bits>(bin)); }

/// How many bins lie from zero's up to that of `magnitude`.
std::size_t bins_up_to(float magnitude) {
  return std::min<std::size_t>(float_to_bf16(magnitude) + 1u, Fp8Codes::kBins);
}

}  // namespace

Distribution::Distribution(const std::vector<std::uint64_t>& histogram)
    : below_(sums_below(histogram)), amax_(percentile(100)) {}

float Distribution::clipping_magnitude(const ScalePolicy& policy, Fp8Format format) const {
  switch (policy.kind) {
    case ScalePolicy::Kind::percentile:
      return percentile(policy.percent);
    case ScalePolicy::Kind::mse:
      return least_squared_error(format);
    case ScalePolicy::Kind::kl:
      return least_divergence(below_, format);
    case ScalePolicy::Kind::amax:
      break;
  }
  return amax_;
}

float Distribution::percentile(double percent) const {
  const double all = static_cast<double>(elements());
  const double needed = std::min(percent / 100 * all, all);
  const auto reached = std::partition_point(
      below_.begin(), below_.end(),
      [&](const MagnitudeSums& sums) { return static_cast<double>(sums.elements) < needed; });
  return reached == below_.begin() ? 0.0f : magnitude_of(reached - below_.begin() - 1);
}

std::uint64_t Distribution::elements_above(float magnitude) const {
  return elements() - below_[bins_up_to(magnitude)].elements;
}

std::uint64_t Distribution::clipped(float scale, Fp8Format format) const {
  const float rounded = std::nextafter(largest_of(format), std::numeric_limits<float>::infinity());
  return elements() - below_[Fp8Codes::first_above(rounded, scale)].elements;
}

std::uint64_t Distribution::flushed(float scale, Fp8Format format) const {
  return below_[Fp8Codes::of(format).end(0, scale)].elements - below_[1].elements;
}

double Distribution::squared_error(float scale, Fp8Format format) const {
  return squared_error_up_to(amax_, scale, format);
}

double Distribution::squared_error_up_to(float magnitude, float scale, Fp8Format format) const {
  const Fp8Codes& codes = Fp8Codes::of(format);
  const std::size_t bins = bins_up_to(magnitude);
  double error = 0;
  std::size_t bin = 0;
  for (std::size_t code = 0; bin < bins; ++code) {
    const double value = static_cast<double>(codes.value(code)) * static_cast<double>(scale);
    for (const std::size_t end = std::min(codes.end(code, scale), bins); bin < end; ++bin) {
      const std::uint64_t count = below_[bin + 1].elements - below_[bin].elements;
      const double off = static_cast<double>(magnitude_of(bin)) - value;
      error += static_cast<double>(count) * off * off;
    }
  }
  return error;
}

/// squared_error within rounding, from the sums of each code: they are differences of sums.
double Distribution::quick_squared_error(float scale, Fp8Format format) const {
  const Fp8Codes& codes = Fp8Codes::of(format);
  double error = 0;
  const MagnitudeSums* first = &below_.front();
  for (std::size_t code = 0; code <= codes.largest(); ++code) {
    const double value = static_cast<double>(codes.value(code)) * static_cast<double>(scale);
    const MagnitudeSums* end = &below_[codes.end(code, scale)];
    error += end->second_moment - first->second_moment -
             2 * value * (end->first_moment - first->first_moment) +
             value * value * static_cast<double>(end->elements - first->elements);
    first = end;
  }
  return error;
}

/// Every BF16 magnitude from the largest element down is tried, until clipping alone costs more
/// than the best so far: no smaller one can be better.
float Distribution::least_squared_error(Fp8Format format) const {
  const float largest = largest_of(format);
  const MagnitudeSums& all = below_.back();
  float best = amax_;
  double least = quick_squared_error(scale_of(amax_, largest), format);
  for (bf16_bits bits = float_to_bf16(amax_); bits > 0; --bits) {
    const double m = magnitude_of(bits);
    const float scale = scale_of(magnitude_of(bits), largest);
    if (scale <= 0.0f) break;
    const MagnitudeSums& kept = below_[bits + 1u];
    const double clipped = all.second_moment - kept.second_moment -
                           2 * m * (all.first_moment - kept.first_moment) +
                           m * m * static_cast<double>(all.elements - kept.elements);
    if (clipped > least) break;
    const double error = quick_squared_error(scale, format);
    if (error < least) {
      least = error;
      best = magnitude_of(bits);
    }
  }
  // Rounding of the quick errors must not make a choice that is worse than none.
  const bool gains = squared_error(scale_of(best, largest), format) <
                     squared_error(scale_of(amax_, largest), format);
  return gains ? best : amax_;
}

}  // namespace fp8cal
