#include "coordinator/scales/rescale.hpp"

#include <fmt/format.h>

#include <utility>

#include "coordinator/result_builder.hpp"
#include "coordinator/scales/scale_policy.hpp"
#include "jobs/error.hpp"
#include "kernels/cpu/thread_pool.hpp"
#include "sharding/weight_shards.hpp"

namespace fp8cal {
namespace {

template <class T>
const T& attribute(const Attributes& job, const std::string& name, const std::string& where) {
  const auto found = job.find(name);
  if (found != job.end() && std::holds_alternative<T>(found->second)) {
    return std::get<T>(found->second);
  }
  throw InputError(where, "attribute /job/" + name, "one, of its documented type", "none");
}

/// The model's shape as /job tells it.
ModelConfig shape_of(const Attributes& job, const std::string& where) {
  constexpr std::int64_t kMost = std::int64_t{1} << 20;  // as in a config.json
  const auto size = [&](const char* name) {
    const std::string key = std::string("model.") + name;
    const std::int64_t value = attribute<std::int64_t>(job, key, where);
    if (value >= 1 && value <= kMost) return static_cast<std::size_t>(value);
    throw InputError(where, "attribute /job/" + key, fmt::format("1 to {}", kMost),
                     fmt::to_string(value));
  };
  ModelConfig config;
  config.hidden_size = size("hidden_size");
  config.intermediate_size = size("intermediate_size");
  config.num_hidden_layers = size("num_hidden_layers");
  config.num_attention_heads = size("num_attention_heads");
  config.num_key_value_heads = size("num_key_value_heads");
  config.head_dim = size("head_dim");
  return config;
}

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

Result rescale(StoredResult parent, const std::string& policy, std::vector<std::string> recipes,
               int threads, const std::string& where) {
  const Result& before = parent.result;
  if (before.activations.empty() || before.weights.empty()) {
    throw InputError(where, "distributions", "a result of a calibration", "none");
  }
  if (recipes.empty()) {
    recipes = attribute<std::vector<std::string>>(before.job, "scales.recipe", where);
  }
  const ScalePolicy parsed = parse_scale_policy(policy);
  const ModelConfig config = shape_of(before.job, where);
  const std::size_t layers = config.num_hidden_layers;
  if (before.activations.size() != layers * kSites) {
    throw InputError(where, "observed tensors", fmt::to_string(layers * kSites),
                     fmt::to_string(before.activations.size()));
  }
  std::vector<Result> parts(layers);
  constexpr std::size_t kNanosecondsOfALayer = 5'000'000;
  ThreadPool(threads).parallel_for(layers, kNanosecondsOfALayer, [&](std::size_t layer) {
    const LayerStatistics statistics = layer_statistics(before, layer, where);
    check_shape(statistics, config, where);
    for (const std::string& name : recipes) {
      const Recipe recipe = find_recipe(name);
      const LayerScales scales =
          derive_scales(recipe, parsed, config.num_key_value_heads, statistics);
      add_scales(parts[layer], name, layer, scales);
      add_diagnostics(parts[layer], recipe, statistics, scales);
    }
  });

  Result after = before;
  after.scales.clear();
  after.diagnostics.clear();
  for (Result& part : parts) {
    for (auto& [recipe, modules] : part.scales) after.scales[recipe].merge(modules);
    for (auto& [recipe, tensors] : part.diagnostics) after.diagnostics[recipe].merge(tensors);
  }
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
