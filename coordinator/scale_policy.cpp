#include "coordinator/scale_policy.hpp"

#include <algorithm>

#include "coordinator/distribution.hpp"
#include "kernels/float_formats.hpp"

namespace fp8cal {
namespace {

/// Modules [first, last] are fused by inference engines.
struct FusedGroup {
  LinearModule first;
  LinearModule last;
};

constexpr FusedGroup kFusedGroups[] = {{LinearModule::q, LinearModule::v},
                                       {LinearModule::o, LinearModule::o},
                                       {LinearModule::gate, LinearModule::up},
                                       {LinearModule::down, LinearModule::down}};

float group_amax(const LayerStatistics& statistics, std::size_t first, std::size_t last) {
  float amax = 0.0f;
  for (std::size_t m = first; m <= last; ++m) {
    for (float channel : statistics.weights[m].channel_amax) amax = std::max(amax, channel);
  }
  return amax;
}

std::vector<float> channel_scales(const WeightStatistics& weight) {
  std::vector<float> scales;
  for (float amax : weight.channel_amax) scales.push_back(scale_of(amax, kE4M3Max));
  return scales;
}

}  // namespace

LayerScales derive_scales(const Recipe& recipe, const ScalePolicy& policy,
                          const LayerStatistics& statistics) {
  LayerScales scales;
  for (const FusedGroup& group : kFusedGroups) {
    const std::size_t first = static_cast<std::size_t>(group.first);
    const std::size_t last = static_cast<std::size_t>(group.last);
    const float shared = scale_of(group_amax(statistics, first, last), kE4M3Max);
    std::vector<float> input_scale;
    if (!recipe.input_per_token) {
      const Distribution input(statistics.at(input_site(group.first)).histogram);
      input_scale = {scale_of(input.clipping_magnitude(policy), kE4M3Max)};
    }
    for (std::size_t m = first; m <= last; ++m) {
      scales[m].weight_scale = recipe.weight_per_channel ? channel_scales(statistics.weights[m])
                                                         : std::vector<float>{shared};
      scales[m].input_scale = input_scale;
    }
  }
  return scales;
}

std::vector<LayerScales> derive_scales(const Recipe& recipe, const ScalePolicy& policy,
                                       std::span<const LayerStatistics> layers) {
  std::vector<LayerScales> scales;
  for (const LayerStatistics& one : layers) scales.push_back(derive_scales(recipe, policy, one));
  return scales;
}

}  // namespace fp8cal
