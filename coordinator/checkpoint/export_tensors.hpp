#pragma once

#include <map>
#include <string>
#include <vector>

#include "jobs/model_config.hpp"
#include "jobs/quantization_config.hpp"
#include "jobs/recipe.hpp"
#include "jobs/safetensors_writer.hpp"
#include "jobs/statistics.hpp"
#include "sharding/weight_shards.hpp"

namespace fp8cal {

/// One recipe's scales, by module.
using RecipeScales = std::map<std::string, ModuleScales>;

/// A weight matrix that becomes E4M3.
struct QuantizedWeight {
  WeightShard shard;         ///< all of its rows
  std::vector<float> scale;  ///< [1] or [rows]
};

/// Scales as the checkpoint keeps them.
struct ScaleTensor {
  TensorLayout layout;
  std::vector<float> values;
};

/// Tensors of a checkpoint that lie in one file.
struct ExportGroup {
  std::vector<WeightShard> copied;  ///< BF16 as they are
  std::vector<QuantizedWeight> quantized;
  std::vector<ScaleTensor> scales;
};

/// Throws InputError naming the module and the kind of scale where `scales` are not those of
/// `recipe` for this model: missing, of another size, or not positive numbers.
void check_scales(const ModelConfig& config, const Recipe& recipe, const RecipeScales& scales);

/// All tensors of an FP8 checkpoint: the embedding table, each layer, and what follows the layers.
/// Names and shapes of the scales are those of `format`. scales: checked.
std::vector<ExportGroup> export_groups(const ModelConfig& config, const Recipe& recipe,
                                       CheckpointFormat format, const RecipeScales& scales);

std::vector<TensorLayout> layouts_of(const ExportGroup& group);

}  // namespace fp8cal
