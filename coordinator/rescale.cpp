#include "coordinator/rescale.hpp"

#include <fmt/format.h>

#include <utility>

#include "coordinator/result_builder.hpp"
#include "coordinator/scale_policy.hpp"
#include "jobs/error.hpp"
#include "kernels/cpu/thread_pool.hpp"

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

/// A size of the model.
std::size_t size(const Attributes& job, const std::string& name, const std::string& where) {
  constexpr std::int64_t kMost = 1024;  // as in a config.json
  const std::int64_t value = attribute<std::int64_t>(job, name, where);
  if (value >= 1 && value <= kMost) return static_cast<std::size_t>(value);
  throw InputError(where, "attribute /job/" + name, fmt::format("1 to {}", kMost),
                   fmt::to_string(value));
}

/// The scores of `recipe` were measured with the scales that it has still.
bool unchanged(const Result& before, const Result& after, const std::string& recipe) {
  const auto old = before.scales.find(recipe);
  return old != before.scales.end() && old->second == after.scales.at(recipe);
}

}  // namespace

Result rescale(StoredResult parent, const std::string& policy, std::vector<std::string> recipes,
               int threads, const std::string& where) {
  const Result& before = parent.result;
  if (before.activations.empty() || before.weights.empty()) {
    throw InputError(where, "distributions", "a result of a calibration", "none");
  }
  if (recipes.empty())
    recipes = attribute<std::vector<std::string>>(before.job, "scales.recipe", where);
  const ScalePolicy parsed = parse_scale_policy(policy);
  const std::size_t kv_heads = size(before.job, "model.num_key_value_heads", where);
  const std::size_t layers = size(before.job, "model.num_hidden_layers", where);
  std::vector<Result> parts(layers);
  constexpr std::size_t kNanosecondsOfALayer = 5'000'000;
  ThreadPool(threads).parallel_for(layers, kNanosecondsOfALayer, [&](std::size_t layer) {
    const LayerStatistics statistics = layer_statistics(before, layer, where);
    for (const std::string& name : recipes) {
      const Recipe recipe = find_recipe(name);
      const LayerScales scales = derive_scales(recipe, parsed, kv_heads, statistics);
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
