#include "coordinator/scales/rescale.hpp"

#include <fmt/format.h>

#include <utility>

#include "coordinator/model_attributes.hpp"
#include "coordinator/result_builder.hpp"
#include "coordinator/scales/scale_policy.hpp"
#include "jobs/error.hpp"
#include "kernels/cpu/thread_pool.hpp"
#include "sharding/weight_shards.hpp"

namespace fp8cal {
namespace {

/// Throws where the distributions are not of this shape.
void check_shape(const LayerStatistics& layer, const ModelConfig& config,
                 const std::string& where) {
  const auto expect = [&](const char* what, std::size_t expected, std::size_t found) {
    if (found == expected) return;
    throw InputError(fmt::format("{}: model.layers.{}", where, layer.layer), what,
                     fmt::to_string(expected), fmt::to_string(found));
  };
  for (std::size_t s = 0; s < kSites; ++s) {
    expect("channels of an observed tensor", channels_of(static_cast<Site>(s), config),
           layer.activations[s].channel_amax.size());
  }
  const std::vector<WeightShard> shards = layer_shards(config, layer.layer, 1, 0);
  std::size_t module = 0;
  for (const WeightShard& shard : shards) {
    if (!shard.is_matrix()) continue;
    expect("rows of a weight", shard.total_rows(), layer.weights[module++].channel_amax.size());
  }
}

/// The scores of `recipe` were measured with the scales that it has still.
bool unchanged(const Result& before, const Result& after, const std::string& recipe) {
  const auto old = before.scales.find(recipe);
  return old != before.scales.end() && old->second == after.scales.at(recipe);
}

/// Weights take their amax whatever the policy: what was measured with one recipe holds for every
/// other that gives them a scale for as much.
void copy_weight_errors(const Result& before, const std::string& recipe, Result& after) {
  for (const auto& [measured, tensors] : before.diagnostics) {
    if (find_recipe(measured).weight_per_channel != find_recipe(recipe).weight_per_channel)
      continue;
    for (const auto& [tensor, error] : tensors) {
      if (tensor.ends_with(kWeightSuffix)) after.diagnostics[recipe].emplace(tensor, error);
    }
  }
}

}  // namespace

DerivedScales derive_from_result(const Result& result, const ScalePolicy& policy,
                                 const std::vector<std::string>& recipes, int threads,
                                 const std::string& where) {
  if (result.activations.empty() || result.weights.empty()) {
    throw InputError(where, "distributions", "a result of a calibration", "none");
  }
  const ModelConfig config = model_shape(result.job, where);
  const std::size_t layers = config.num_hidden_layers;
  if (result.activations.size() != layers * kSites) {
    throw InputError(where, "observed tensors", fmt::to_string(layers * kSites),
                     fmt::to_string(result.activations.size()));
  }
  std::vector<Result> parts(layers);
  constexpr std::size_t kNanosecondsOfALayer = 5'000'000;
  ThreadPool(threads).parallel_for(layers, kNanosecondsOfALayer, [&](std::size_t layer) {
    const LayerStatistics statistics = layer_statistics(result, layer, where);
    check_shape(statistics, config, where);
    for (const std::string& name : recipes) {
      const Recipe recipe = find_recipe(name);
      const LayerScales scales =
          derive_scales(recipe, policy, config.num_key_value_heads, statistics);
      add_scales(parts[layer], name, layer, scales);
      add_diagnostics(parts[layer], recipe, statistics, scales);
    }
  });
  DerivedScales derived;
  for (Result& part : parts) {
    for (auto& [recipe, modules] : part.scales) derived.scales[recipe].merge(modules);
    for (auto& [recipe, tensors] : part.diagnostics) derived.diagnostics[recipe].merge(tensors);
  }
  return derived;
}

Result rescale(StoredResult parent, const std::string& policy, std::vector<std::string> recipes,
               int threads, const std::string& where) {
  const Result& before = parent.result;
  if (recipes.empty()) {
    recipes = job_attribute<std::vector<std::string>>(before.job, "scales.recipe", where);
  }
  DerivedScales derived =
      derive_from_result(before, parse_scale_policy(policy), recipes, threads, where);
  Result after = before;
  after.scales = std::move(derived.scales);
  after.diagnostics = std::move(derived.diagnostics);
  for (const std::string& recipe : recipes) copy_weight_errors(before, recipe, after);
  for (const auto& [variant, perplexity] : before.perplexity) {
    const bool kept =
        variant == "bf16" || (after.scales.contains(variant) && unchanged(before, after, variant));
    if (kept) continue;
    after.perplexity.erase(variant);
    after.differences.erase(variant);
  }
  after.job["scales.policy"] = policy;
  after.job["scales.recipe"] = std::move(recipes);
  after.job["parent_digest"] = parent.digest;
  return after;
}

}  // namespace fp8cal
