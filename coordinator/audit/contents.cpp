#include "coordinator/audit/contents.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <set>

#include "coordinator/audit/flow_order.hpp"
#include "coordinator/protocol/overlap_check.hpp"

namespace fp8cal {
namespace {

std::size_t count_layers(const Result& result) {
  std::set<std::size_t> layers;
  const auto add = [&layers](const auto& modules) {
    for (const auto& [module, one] : modules) layers.insert(module_order(module).layer);
  };
  add(result.activations);
  add(result.weights);
  for (const auto& [recipe, modules] : result.scales) add(modules);
  layers.erase(std::numeric_limits<std::size_t>::max());  // no module of a layer
  return layers.size();
}

}  // namespace

Contents contents_of(const Result& result) {
  Contents contents = {.calibration_windows = result.calibration.windows(),
                       .evaluation_windows = result.evaluation.windows(),
                       .tokens = result.calibration.tokens.size() + result.evaluation.tokens.size(),
                       .layers = count_layers(result),
                       .distributions = result.activations.size(),
                       .weights = result.weights.size(),
                       .recipes = result.scales.size(),
                       .variants = result.perplexity.size(),
                       .objection = not_reportable(result.job)};
  for (const auto& [recipe, modules] : result.scales) {
    for (const auto& [module, one] : modules) {
      for (const auto* values : {&one.weight_scale, &one.input_scale, &one.k_scale, &one.v_scale}) {
        contents.scales += values->empty() ? 0 : 1;
      }
    }
  }
  for (const auto& [recipe, tensors] : result.diagnostics) contents.diagnostics += tensors.size();
  return contents;
}

std::string text_of(const Contents& contents) {
  return fmt::format(
      "{} tokens in {} + {} windows, {} layers, {} distributions, {} weights, {} scales of {} "
      "recipes, {} diagnostics, {} perplexities{}{}",
      contents.tokens, contents.calibration_windows, contents.evaluation_windows, contents.layers,
      contents.distributions, contents.weights, contents.scales, contents.recipes,
      contents.diagnostics, contents.variants, contents.objection.empty() ? "" : ", ",
      contents.objection);
}

}  // namespace fp8cal
