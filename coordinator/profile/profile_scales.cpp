#include "coordinator/profile/profile_scales.hpp"

#include "coordinator/model_attributes.hpp"
#include "coordinator/result_builder.hpp"
#include "coordinator/scales/scale_policy.hpp"
#include "jobs/recipe.hpp"
#include "jobs/result_reader.hpp"

namespace fp8cal {

ProfileScales::ProfileScales(const std::string& path, const ModelConfig& config)
    : kv_heads_(config.num_key_value_heads) {
  if (path.empty()) return;
  const Result result = read_result(path).result;
  expect_same_model(config, result.job, path);
  policy_ = job_attribute<std::string>(result.job, "scales.policy", path);
  for (std::size_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    layers_.push_back(layer_statistics(result, layer, path));
  }
}

std::vector<LayerScales> ProfileScales::linear(const std::string& variant) const {
  if (layers_.empty() || variant == "bf16") return {};
  return derive_scales(find_recipe(variant), parse_scale_policy(policy_), kv_heads_, layers_);
}

std::vector<ModuleScales> ProfileScales::attention(const std::string& kv) const {
  if (layers_.empty()) return {};
  const Recipe recipe = find_recipe(recipe_names().front() + kKvMark + kv);
  std::vector<ModuleScales> scales;
  for (LayerScales& layer :
       derive_scales(recipe, parse_scale_policy(policy_), kv_heads_, layers_)) {
    scales.push_back(std::move(layer.attention));
  }
  return scales;
}

}  // namespace fp8cal
