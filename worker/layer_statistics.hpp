#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "jobs/model_config.hpp"
#include "jobs/packing.hpp"
#include "jobs/statistics.hpp"

namespace fp8cal {

/// Where a layer is observed.
enum class Site : std::size_t { qkv_input, o_input, gate_up_input, down_input, key, value };
inline constexpr std::size_t kSites = 6;

/// A layer's linear modules, in the order of linear_modules().
enum class LinearModule : std::size_t { q, k, v, o, gate, up, down };
inline constexpr std::size_t kLinearModules = 7;

/// The site whose distribution is the input of `module`.
Site input_site(LinearModule module);

/// Channels observed at `site`.
std::size_t channels_of(Site site, const ModelConfig& config);

/// Everything that is known of one layer after calibration, whole: of all slices and sequences.
struct LayerStatistics {
  std::size_t layer = 0;
  std::array<ActivationStatistics, kSites> activations;
  std::array<std::vector<float>, kSites> sequence_amax;  // [sequences], in calibration order
  std::array<WeightStatistics, kLinearModules> weights;

  const ActivationStatistics& at(Site site) const {
    return activations[static_cast<std::size_t>(site)];
  }
  const WeightStatistics& at(LinearModule module) const {
    return weights[static_cast<std::size_t>(module)];
  }
};

/// Throws Error (exit code 1) where an activation was infinite or NaN: names the layer, the first
/// such tensor in the order in which a layer computes them, and the calibration sequence.
void check_finite(const LayerStatistics& statistics);

/// Bytes as of jobs/packing.hpp, and back. Of a histogram only what is not empty. Throws Error
/// where the bytes end early or name a bin that there is not.
std::string pack_statistics(const LayerStatistics& statistics);
LayerStatistics unpack_statistics(Unpacker& from);

}  // namespace fp8cal
