#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "jobs/statistics.hpp"

namespace fp8cal {

/// A channel that stands above the others of its tensor.
struct OutlierChannel {
  std::string module;
  std::size_t channel = 0;
  float amax = 0;
  float over_median = 0;  ///< amax over the median channel's amax of that tensor
};

/// The `count` channels that stand highest above their tensors' median channel, highest first.
/// activations: by module.
std::vector<OutlierChannel> largest_outliers(
    const std::map<std::string, ActivationStatistics>& activations, std::size_t count);

/// The channels of one tensor whose amax is more than `factor` times the median channel's, highest
/// first; none where half of them never fire. channel_amax [channels].
std::vector<OutlierChannel> channels_above_median(const std::string& module,
                                                  std::span<const float> channel_amax,
                                                  float factor);

}  // namespace fp8cal
