#include "worker/amax_scales.hpp"

#include <algorithm>

#include "kernels/float_formats.hpp"

namespace fp8cal {
namespace {

/// Modules that read one input, as one matrix.
struct Fused {
  std::size_t first, last;
};
constexpr Fused kFused[] = {{0, 2}, {3, 3}, {4, 5}, {6, 6}};

}  // namespace

std::array<WeightStatistics, kLinearModules> whole_maxima(
    Backend& backend, Collectives& slices,
    const std::array<WeightStatistics, kLinearModules>& own) {
  if (slices.size() == 1) return own;
  const std::size_t parts = static_cast<std::size_t>(slices.size());
  const std::size_t rank = static_cast<std::size_t>(slices.rank());
  // Other slices' rows are 0 here: the largest on any rank is the row's own.
  std::vector<float> all;
  for (const WeightStatistics& module : own) {
    const std::vector<float>& rows = module.channel_amax;
    const std::size_t at = all.size() + rank * rows.size();
    all.resize(all.size() + parts * rows.size());
    std::copy(rows.begin(), rows.end(), all.begin() + static_cast<std::ptrdiff_t>(at));
  }
  const std::size_t bytes = all.size() * sizeof(float);
  const Buffer device = backend.allocate(bytes);
  backend.upload(device.data(), all.data(), bytes);
  slices.all_max(device.as<std::uint32_t>(), all.size());  // magnitudes order as their bits
  slices.wait();
  backend.download(all.data(), device.data(), bytes);

  std::array<WeightStatistics, kLinearModules> whole;
  auto first = all.begin();
  for (std::size_t m = 0; m < kLinearModules; ++m) {
    const auto end = first + static_cast<std::ptrdiff_t>(parts * own[m].channel_amax.size());
    whole[m].channel_amax.assign(first, end);
    first = end;
  }
  return whole;
}

LayerScales amax_scales(const Recipe& recipe,
                        const std::array<WeightStatistics, kLinearModules>& whole) {
  LayerScales scales;
  for (const Fused& fused : kFused) {
    float amax = 0;
    for (std::size_t m = fused.first; m <= fused.last; ++m) {
      const std::vector<float>& rows = whole[m].channel_amax;
      amax = std::max(amax, *std::max_element(rows.begin(), rows.end()));
    }
    for (std::size_t m = fused.first; m <= fused.last; ++m) {
      ModuleScales& own = scales.linear[m];
      own.weight_scale = {scale_of(amax, kE4M3Max)};
      if (recipe.input == Recipe::Input::per_tensor) own.input_scale = {1.0f};
      if (!recipe.weight_per_channel) continue;
      own.weight_scale.clear();
      for (const float row : whole[m].channel_amax) {
        own.weight_scale.push_back(scale_of(row, kE4M3Max));
      }
    }
  }
  return scales;
}

}  // namespace fp8cal
