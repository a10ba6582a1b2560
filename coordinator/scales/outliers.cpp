#include "coordinator/scales/outliers.hpp"

#include <algorithm>
#include <tuple>

namespace fp8cal {
namespace {

/// Of a list that is not empty.
float median(std::span<const float> list) {
  std::vector<float> values(list.begin(), list.end());
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

bool stands_higher(const OutlierChannel& a, const OutlierChannel& b) {
  return std::tie(b.over_median, a.module, a.channel) <
         std::tie(a.over_median, b.module, b.channel);
}

}  // namespace

std::vector<OutlierChannel> largest_outliers(
    const std::map<std::string, ActivationStatistics>& activations, std::size_t count) {
  std::vector<OutlierChannel> all;
  for (const auto& [module, statistics] : activations) {
    std::vector<OutlierChannel> own = channels_above_median(module, statistics.channel_amax, 0.0f);
    own.resize(std::min(count, own.size()));
    all.insert(all.end(), own.begin(), own.end());
  }
  std::sort(all.begin(), all.end(), stands_higher);
  all.resize(std::min(count, all.size()));
  return all;
}

std::vector<OutlierChannel> channels_above_median(const std::string& module,
                                                  std::span<const float> channel_amax,
                                                  float factor) {
  std::vector<OutlierChannel> above;
  if (channel_amax.empty()) return above;
  const float middle = median(channel_amax);
  if (!(middle > 0.0f)) return above;  // no scale to compare with
  for (std::size_t c = 0; c < channel_amax.size(); ++c) {
    const float over_median = channel_amax[c] / middle;
    if (over_median > factor) above.push_back({module, c, channel_amax[c], over_median});
  }
  std::sort(above.begin(), above.end(), stands_higher);
  return above;
}

}  // namespace fp8cal
