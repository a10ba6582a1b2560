#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "jobs/latency_profile.hpp"

namespace fp8cal {

/// How long one configuration takes for a prompt and what it answers.
struct TotalTime {
  std::string variant;
  std::string kv;
  double first = 0;  ///< seconds to the first token
  double each = 0;   ///< seconds for each token after it

  double of(double tokens) const { return first + tokens * each; }
};

/// All configurations at one length of prompt.
struct TotalTimes {
  std::size_t prompt = 0;     ///< tokens
  std::size_t context = 0;    ///< tokens, at which decoding was measured
  std::size_t sequences = 1;  ///< that were decoded together
  std::vector<TotalTime> lines;

  /// BF16 with keys and values in BF16; null where it was not measured.
  const TotalTime* reference() const;
};

/// One a context at which the smallest batch was decoded, with the measured prompt that is nearest
/// to it; what lacks one of the two passes is left out, also a context without any.
std::vector<TotalTimes> total_times(const LatencyProfile& profile);

/// The number of tokens, at least 1, after which both took as long; none where one is first
/// throughout.
std::optional<double> crossing(const TotalTime& one, const TotalTime& other);

/// How `one` compares with `reference`: "faster from 38 tokens on", "slower throughout", ...
std::string crossing_text(const TotalTime& one, const TotalTime& reference);

}  // namespace fp8cal
