#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "jobs/result.hpp"

namespace fp8cal {

/// NLLs of two variants on the same text, added up by window; in nats.
struct WindowSums {
  std::vector<double> base;     ///< [windows]
  std::vector<double> variant;  ///< [windows]
  double tokens = 0;            ///< of all windows

  /// base, variant: of the same windows.
  static WindowSums of(const Perplexity& base, const Perplexity& variant);
};

/// A range of 95 % confidence.
struct Interval {
  double low = 0;
  double high = 0;
};

/// Where the mean over `pairs`, which are of the same windows, of exp(variant / tokens) -
/// exp(base / tokens) lies: as perplexity_difference says, all pairs on the same drawn windows.
/// None where there are fewer than two windows.
std::optional<Interval> mean_difference_interval(const std::vector<WindowSums>& pairs,
                                                 std::uint64_t seed);

/// The perplexity of `variant` minus that of `bf16`, which predict the same windows, and the range
/// from the 2.5th to the 97.5th percentile of that difference over 10,000 sets of as many windows,
/// drawn with replacement by `seed`, the same windows for both (percentile bootstrap: B. Efron,
/// "Bootstrap Methods: Another Look at the Jackknife", 1979). None where there are fewer than two
/// windows to draw from.
std::optional<PerplexityDifference> perplexity_difference(const Perplexity& bf16,
                                                          const Perplexity& variant,
                                                          std::uint64_t seed);

}  // namespace fp8cal
