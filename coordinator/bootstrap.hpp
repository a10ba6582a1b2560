#pragma once

#include <cstdint>
#include <optional>

#include "jobs/result.hpp"

namespace fp8cal {

/// The perplexity of `variant` minus that of `bf16`, which predict the same windows, and the range
/// from the 2.5th to the 97.5th percentile of that difference over 10,000 sets of as many windows,
/// drawn with replacement by `seed`, the same windows for both (percentile bootstrap: B. Efron,
/// "Bootstrap Methods: Another Look at the Jackknife", 1979). None where there are fewer than two
/// windows to draw from.
std::optional<PerplexityDifference> perplexity_difference(const Perplexity& bf16,
                                                          const Perplexity& variant,
                                                          std::uint64_t seed);

}  // namespace fp8cal
