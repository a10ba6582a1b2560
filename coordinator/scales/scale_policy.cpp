#include "coordinator/scales/scale_policy.hpp"

#include <algorithm>

#include "coordinator/scales/distribution.hpp"
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

/// The scale that `policy` chooses for the whole tensor.
float tensor_scale(const ActivationStatistics& tensor, const ScalePolicy& policy,
                   Fp8Format format) {
  const Distribution distribution(tensor.histogram);
  return scale_of(distribution.clipping_magnitude(policy, format), largest_of(format));
}

/// tensor: keys or values. What is exactly known of one head is its amax.
std::vector<float> head_scales(const ActivationStatistics& tensor, std::size_t heads,
                               Fp8Format format) {
  std::vector<float> scales;
  const std::span<const float> channels(tensor.channel_amax);
  const std::size_t width = channels.size() / heads;
  for (std::size_t head = 0; head < heads; ++head) {
    const auto own = channels.subspan(head * width, width);
    scales.push_back(scale_of(*std::ranges::max_element(own), largest_of(format)));
  }
  return scales;
}

}  // namespace

LayerScales derive_scales(const Recipe& recipe, const ScalePolicy& policy, std::size_t kv_heads,
                          const LayerStatistics& statistics) {
  LayerScales scales;
  for (const FusedGroup& group : kFusedGroups) {
    const std::size_t first = static_cast<std::size_t>(group.first);
    const std::size_t last = static_cast<std::size_t>(group.last);
    const float shared = scale_of(group_amax(statistics, first, last), kE4M3Max);
    std::vector<float> input_scale;
    if (recipe.input == Recipe::Input::per_tensor) {
      input_scale = {tensor_scale(statistics.at(input_site(group.first)), policy, Fp8Format::e4m3)};
    }
    for (std::size_t m = first; m <= last; ++m) {
      scales.linear[m].weight_scale = recipe.weight_per_channel
                                          ? channel_scales(statistics.weights[m])
                                          : std::vector<float>{shared};
      scales.linear[m].input_scale = input_scale;
    }
  }
  if (recipe.kv) {
    const auto scales_at = [&](Site site) {
      const ActivationStatistics& tensor = statistics.at(site);
      return recipe.kv->per_head
                 ? head_scales(tensor, kv_heads, recipe.kv->format)
                 : std::vector<float>{tensor_scale(tensor, policy, recipe.kv->format)};
    };
    scales.attention.k_scale = scales_at(Site::key);
    scales.attention.v_scale = scales_at(Site::value);
  }
  return scales;
}

std::vector<LayerScales> derive_scales(const Recipe& recipe, const ScalePolicy& policy,
                                       std::size_t kv_heads,
                                       std::span<const LayerStatistics> layers) {
  std::vector<LayerScales> scales;
  for (const LayerStatistics& one : layers) {
    scales.push_back(derive_scales(recipe, policy, kv_heads, one));
  }
  return scales;
}

}  // namespace fp8cal
