#pragma once

#include <vector>

#include "jobs/checkpoint.hpp"
#include "jobs/model_config.hpp"
#include "worker/quantized_layer.hpp"

namespace fp8cal {

/// The scales of all layers of a checkpoint whose config has a stored_recipe, in the names of
/// compressed-tensors ("self_attn.k_scale") or ModelOpt ("self_attn.k_proj.k_scale"). Fused modules
/// (q, k and v; gate and up) that have weight scales of their own get one a row. Throws InputError
/// naming the tensor where a scale is missing, has another number of elements than the recipe asks
/// for, or is not a positive finite number, and where fused modules differ in their input scales.
std::vector<LayerScales> stored_scales(const Checkpoint& checkpoint, const ModelConfig& config);

}  // namespace fp8cal
