#pragma once

#include <array>

#include "jobs/model_config.hpp"
#include "jobs/statistics.hpp"
#include "kernels/backend.hpp"
#include "sharding/collectives.hpp"
#include "worker/quantized_layer.hpp"

namespace fp8cal {

/// The largest magnitude in each output row of a layer's linear modules, whole: of all slices. own:
/// of this slice. Collective over the slices; waits for the backend.
std::array<WeightStatistics, kLinearModules> whole_maxima(
    Backend& backend, Collectives& slices, const std::array<WeightStatistics, kLinearModules>& own);

/// Scales for a layer whose activations nobody has seen: of weights by their largest magnitude, q,
/// k and v together and gate and up together where the recipe has one a tensor; all others are 1.
LayerScales amax_scales(const Recipe& recipe,
                        const std::array<WeightStatistics, kLinearModules>& whole);

}  // namespace fp8cal
