#include "coordinator/outliers.hpp"

#include <algorithm>
#include <tuple>

namespace fp8cal {
namespace {

float median(std::vector<float> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

std::vector<OutlierChannel> largest_outliers(
    const std::map<std::string, ActivationStatistics>& activations, std::size_t count) {
  std::vector<OutlierChannel> all;
  for (const auto& [module, statistics] : activations) {
    const std::vector<float>& channels = statistics.channel_amax;
    if (channels.empty()) continue;
    const float middle = median(channels);
    if (!(middle > 0.0f)) continue;  // half of the channels never fire: no scale to compare with
    for (std::size_t c = 0; c < channels.size(); ++c) {
      all.push_back({module, c, channels[c], channels[c] / middle});
    }
  }
  const std::size_t kept = std::min(count, all.size());
  std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(kept), all.end(),
                    [](const OutlierChannel& a, const OutlierChannel& b) {
                      return std::tie(b.over_median, a.module, a.channel) <
                             std::tie(a.over_median, b.module, b.channel);
                    });
  all.resize(kept);
  return all;
}

}  // namespace fp8cal
