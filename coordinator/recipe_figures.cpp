#include "coordinator/recipe_figures.hpp"

#include <algorithm>
#include <utility>

#include "coordinator/verdict.hpp"

namespace fp8cal {
namespace {

constexpr const char* kReference = "bf16";

std::vector<std::string> evaluated_recipes(const Result& result) {
  std::vector<std::string> recipes;
  const auto add = [&](const std::string& name) {
    const bool is_new = std::ranges::find(recipes, name) == recipes.end();
    if (name != kReference && is_new && result.perplexity.contains(name)) recipes.push_back(name);
  };
  const auto named = result.job.find("scales.recipe");
  if (named != result.job.end()) {
    const auto* list = std::get_if<std::vector<std::string>>(&named->second);
    if (list != nullptr) std::ranges::for_each(*list, add);
  }
  for (const auto& [variant, own] : result.perplexity) add(variant);
  return recipes;
}

}  // namespace

std::vector<RecipeFigures> recipe_figures(const Result& result) {
  std::vector<RecipeFigures> all;
  const auto bf16 = result.perplexity.find(kReference);
  for (const std::string& recipe : evaluated_recipes(result)) {
    const Perplexity& own = result.perplexity.at(recipe);
    RecipeFigures figures{.recipe = recipe, .perplexity = own.ppl()};
    if (bf16 != result.perplexity.end()) {
      figures.bf16 = bf16->second.ppl();
      figures.difference = PerplexityDifference{.difference = figures.perplexity - *figures.bf16};
    }
    const auto range = result.differences.find(recipe);
    figures.has_interval = figures.bf16 && range != result.differences.end();
    if (figures.has_interval) figures.difference = range->second;
    if (figures.difference) {
      figures.verdict = verdict(figures.difference->difference, result.job);
    }
    if (!own.kl.empty()) figures.mean_kl = own.mean_kl();
    if (!own.same_top.empty()) figures.top1_agreement = own.top1_agreement();
    all.push_back(std::move(figures));
  }
  return all;
}

}  // namespace fp8cal
