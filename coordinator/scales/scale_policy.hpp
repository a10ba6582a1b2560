#pragma once

#include <span>
#include <vector>

#include "jobs/recipe.hpp"
#include "jobs/scale_policy.hpp"
#include "worker/quantized_layer.hpp"

namespace fp8cal {

/// The scales of one layer under `recipe`, from exact statistics alone: what `policy` chooses of
/// the distribution of an input, of keys or of values, or the amax of weights or of a KV head, /
/// the largest number of the format in f32. Modules that an inference engine fuses (q, k and v;
/// gate and up) share one input scale and, with a scale a tensor, one weight scale. kv_heads: of
/// the model.
LayerScales derive_scales(const Recipe& recipe, const ScalePolicy& policy, std::size_t kv_heads,
                          const LayerStatistics& statistics);
/// Of each layer.
std::vector<LayerScales> derive_scales(const Recipe& recipe, const ScalePolicy& policy,
                                       std::size_t kv_heads,
                                       std::span<const LayerStatistics> layers);

}  // namespace fp8cal
