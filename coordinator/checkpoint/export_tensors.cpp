#include "coordinator/checkpoint/export_tensors.hpp"

#include <fmt/format.h>

#include <cmath>

#include "jobs/checkpoint_layout.hpp"
#include "jobs/error.hpp"

namespace fp8cal {
namespace {

using Shape = std::vector<std::uint64_t>;

const std::string kWeightSuffix = ".weight";

std::string module_of(const WeightShard& shard) {
  return shard.name.substr(0, shard.name.size() - kWeightSuffix.size());
}

void check_scale(const Recipe& recipe, const std::string& name, const std::vector<float>& values,
                 std::size_t count) {
  const std::string what = fmt::format("scales of {} for {}", recipe.name, name);
  if (values.size() != count) {
    throw InputError("result", what, std::to_string(count), std::to_string(values.size()));
  }
  for (const float value : values) {
    if (!(value > 0.0f && std::isfinite(value))) {
      throw InputError("result", what, "positive numbers", fmt::format("{}", value));
    }
  }
}

/// Names and shapes of one format.
class GroupBuilder {
 public:
  GroupBuilder(CheckpointFormat format, const Recipe& recipe)
      : is_modelopt_(format == CheckpointFormat::modelopt), recipe_(recipe) {}

  ExportGroup layer(const ModelConfig& config, std::size_t index, const RecipeScales& scales) {
    ExportGroup group;
    for (const WeightShard& shard : layer_shards(config, index, 1, 0)) {
      if (!shard.is_matrix()) {
        group.copied.push_back(shard);
        continue;
      }
      const std::string module = module_of(shard);
      const ModuleScales& own = scales.at(module);
      group.quantized.push_back({shard, own.weight_scale});
      add(group, module + ".weight_scale", own.weight_scale,
          recipe_.weight_per_channel ? row_shape(shard.total_rows()) : tensor_shape());
      if (!own.input_scale.empty()) {
        add(group, module + ".input_scale", own.input_scale, tensor_shape());
      }
    }
    if (recipe_.kv) add_kv(group, layer_module(index, kAttentionModule), scales);
    return group;
  }

 private:
  Shape tensor_shape() const { return is_modelopt_ ? Shape{} : Shape{1}; }
  Shape row_shape(std::uint64_t rows) const { return is_modelopt_ ? Shape{rows} : Shape{rows, 1}; }

  void add(ExportGroup& group, const std::string& name, const std::vector<float>& values,
           const Shape& shape) {
    group.scales.push_back({tensor_layout(name, "F32", shape), values});
  }

  void add_kv(ExportGroup& group, const std::string& attention, const RecipeScales& scales) {
    const ModuleScales& own = scales.at(attention);
    const Shape shape = recipe_.kv->per_head ? Shape{own.k_scale.size(), 1, 1} : tensor_shape();
    add(group, attention + (is_modelopt_ ? ".k_proj" : "") + ".k_scale", own.k_scale, shape);
    add(group, attention + (is_modelopt_ ? ".v_proj" : "") + ".v_scale", own.v_scale, shape);
  }

  bool is_modelopt_;
  const Recipe& recipe_;
};

}  // namespace

void check_scales(const ModelConfig& config, const Recipe& recipe, const RecipeScales& scales) {
  static const ModuleScales none;
  const auto scales_of = [&](const std::string& module) -> const ModuleScales& {
    const auto found = scales.find(module);
    return found == scales.end() ? none : found->second;
  };
  const std::size_t kv = recipe.kv ? (recipe.kv->per_head ? config.num_key_value_heads : 1) : 0;
  for (std::size_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    for (const WeightShard& shard : layer_shards(config, layer, 1, 0)) {
      if (!shard.is_matrix()) continue;
      const std::string module = module_of(shard);
      const ModuleScales& own = scales_of(module);
      check_scale(recipe, module + ".weight_scale", own.weight_scale,
                  recipe.weight_per_channel ? shard.total_rows() : 1);
      check_scale(recipe, module + ".input_scale", own.input_scale,
                  recipe.input == Recipe::Input::per_tensor ? 1 : 0);
    }
    const std::string attention = layer_module(layer, kAttentionModule);
    check_scale(recipe, attention + ".k_scale", scales_of(attention).k_scale, kv);
    check_scale(recipe, attention + ".v_scale", scales_of(attention).v_scale, kv);
  }
}

std::vector<ExportGroup> export_groups(const ModelConfig& config, const Recipe& recipe,
                                       CheckpointFormat format, const RecipeScales& scales) {
  std::vector<ExportGroup> groups(1);
  groups[0].copied = {embedding_shard(config, 1, 0)};
  GroupBuilder builder(format, recipe);
  for (std::size_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    groups.push_back(builder.layer(config, layer, scales));
  }
  groups.emplace_back().copied = {final_norm_shard(config)};
  if (!config.tie_word_embeddings) groups.back().copied.push_back(head_shard(config, 1, 0));
  return groups;
}

std::vector<TensorLayout> layouts_of(const ExportGroup& group) {
  std::vector<TensorLayout> layouts;
  for (const ScaleTensor& scale : group.scales) layouts.push_back(scale.layout);
  for (const WeightShard& shard : group.copied) {
    layouts.push_back(tensor_layout(shard.name, "BF16", shard.shape));
  }
  for (const QuantizedWeight& weight : group.quantized) {
    layouts.push_back(tensor_layout(weight.shard.name, "F8_E4M3", weight.shard.shape));
  }
  return layouts;
}

}  // namespace fp8cal
