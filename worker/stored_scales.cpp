#include "worker/stored_scales.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "jobs/error.hpp"
#include "sharding/weight_shards.hpp"

namespace fp8cal {
namespace {

std::vector<float> read_scales(const Checkpoint& checkpoint, const std::string& name,
                               std::size_t count) {
  std::vector<float> scales = checkpoint.read_floats(name, count);
  for (const float scale : scales) {
    if (std::isfinite(scale) && scale > 0) continue;
    throw InputError("tensor " + name, "scale", "positive finite numbers", fmt::to_string(scale));
  }
  return scales;
}

/// Modules [first, last] read one input and are multiplied as one matrix.
void join(LayerScales& scales, std::size_t layer, std::size_t first, std::size_t last,
          const std::vector<std::size_t>& rows) {
  bool share_weight_scale = true;
  for (std::size_t m = first; m <= last; ++m) {
    const ModuleScales& one = scales.linear[m];
    if (one.input_scale != scales.linear[first].input_scale) {
      throw InputError(
          "tensor " + layer_module(layer, linear_modules()[m]) + ".input_scale", "scale",
          "that of " + linear_modules()[first] + ", which reads the same input", "another");
    }
    share_weight_scale &= one.weight_scale == scales.linear[first].weight_scale;
  }
  for (std::size_t m = first; m <= last && !share_weight_scale; ++m) {
    std::vector<float>& own = scales.linear[m].weight_scale;
    if (own.size() == 1) own.assign(rows[m], own.front());
  }
}

}  // namespace

std::vector<LayerScales> stored_scales(const Checkpoint& checkpoint, const ModelConfig& config) {
  const Recipe& recipe = config.stored_recipe.value();
  std::vector<LayerScales> all(config.num_hidden_layers);
  for (std::size_t layer = 0; layer < all.size(); ++layer) {
    LayerScales& scales = all[layer];
    std::vector<std::size_t> rows;
    for (const WeightShard& shard : layer_shards(config, layer, 1, 0)) {
      if (shard.is_matrix()) rows.push_back(shard.total_rows());
    }
    for (std::size_t m = 0; m < kLinearModules; ++m) {
      const std::string module = layer_module(layer, linear_modules()[m]);
      ModuleScales& own = scales.linear[m];
      own.weight_scale = read_scales(checkpoint, module + ".weight_scale",
                                     recipe.weight_per_channel ? rows[m] : 1);
      if (recipe.input == Recipe::Input::per_tensor) {
        own.input_scale = read_scales(checkpoint, module + ".input_scale", 1);
      }
    }
    join(scales, layer, 0, 2, rows);
    join(scales, layer, 4, 5, rows);
    if (!recipe.kv) continue;
    const std::size_t count = recipe.kv->per_head ? config.num_key_value_heads : 1;
    const auto kv_scale = [&](const std::string& letter) {
      const std::string attention = layer_module(layer, kAttentionModule);
      const std::string own = attention + "." + letter + "_scale";
      const std::string of_modelopt = fmt::format("{0}.{1}_proj.{1}_scale", attention, letter);
      return read_scales(checkpoint, checkpoint.contains(own) ? own : of_modelopt, count);
    };
    scales.attention.k_scale = kv_scale("k");
    scales.attention.v_scale = kv_scale("v");
  }
  return all;
}

}  // namespace fp8cal
