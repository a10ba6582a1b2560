#include "worker/made_up_scales.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>

#include "kernels/float_formats.hpp"

namespace fp8cal {
namespace {

/// Modules that share a scale of a tensor, each by its first: q, k and v; o; gate and up; down.
constexpr std::size_t kFirstOfGroup[kLinearModules] = {0, 0, 0, 3, 4, 4, 6};

/// The amax of each group of modules over all slices, at its first module.
std::array<float, kLinearModules> group_amax(
    Backend& backend, Collectives& slices,
    const std::array<WeightStatistics, kLinearModules>& own) {
  std::array<std::uint32_t, kLinearModules> bits{};  // of floats from 0 on, which order alike
  for (std::size_t m = 0; m < kLinearModules; ++m) {
    std::uint32_t& amax = bits[kFirstOfGroup[m]];
    for (const float row : own[m].channel_amax)
      amax = std::max(amax, std::bit_cast<std::uint32_t>(row));
  }
  Buffer shared = backend.allocate(sizeof bits);
  backend.upload(shared.data(), bits.data(), sizeof bits);
  slices.all_max(shared.as<std::uint32_t>(), bits.size());
  slices.wait();
  backend.download(bits.data(), shared.data(), sizeof bits);
  std::array<float, kLinearModules> amax{};
  std::transform(bits.begin(), bits.end(), amax.begin(),
                 [](std::uint32_t one) { return std::bit_cast<float>(one); });
  return amax;
}

}  // namespace

LayerScales made_up_scales(Backend& backend, Collectives& slices, const Recipe& recipe,
                           const std::array<WeightStatistics, kLinearModules>& own) {
  const std::array<float, kLinearModules> amax = group_amax(backend, slices, own);
  const auto parts = static_cast<std::size_t>(slices.size());
  const auto rank = static_cast<std::size_t>(slices.rank());
  LayerScales scales;
  for (std::size_t m = 0; m < kLinearModules; ++m) {
    ModuleScales& module = scales.linear[m];
    if (recipe.input == Recipe::Input::per_tensor) module.input_scale = {1.0f};
    if (!recipe.weight_per_channel) {
      module.weight_scale = {scale_of(amax[kFirstOfGroup[m]], kE4M3Max)};
      continue;
    }
    // Whole, as scales are: rows of other slices are for other ranks.
    const std::vector<float>& rows = own[m].channel_amax;
    module.weight_scale.assign(rows.size() * parts, 1.0f);
    std::transform(rows.begin(), rows.end(),
                   module.weight_scale.begin() + static_cast<std::ptrdiff_t>(rows.size() * rank),
                   [](float row) { return scale_of(row, kE4M3Max); });
  }
  return scales;
}

}  // namespace fp8cal
