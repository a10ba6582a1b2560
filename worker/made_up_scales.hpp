#pragma once

#include <array>
#include <cstddef>

#include "jobs/model_config.hpp"
#include "jobs/recipe.hpp"
#include "sharding/collectives.hpp"
#include "worker/quantized_layer.hpp"

namespace fp8cal {

/// Scales for a recipe that nobody has calibrated: those of weights from their amax, of inputs 1.
/// own: row amax of this rank's slice of each linear module. Collective over `slices`.
LayerScales made_up_scales(Backend& backend, Collectives& slices, const Recipe& recipe,
                           const std::array<WeightStatistics, kLinearModules>& own);

}  // namespace fp8cal
