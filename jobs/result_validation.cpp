#include "jobs/result_validation.hpp"

#include <fmt/format.h>

#include <stdexcept>

namespace fp8cal {
namespace {

void require_size(const std::string& what, std::size_t found, std::size_t expected) {
  if (found != expected) {
    throw std::invalid_argument(
        fmt::format("result: {}: expected {} elements, found {}", what, expected, found));
  }
}

void require_name(const std::string& name) {
  if (name.empty() || name == "." || name.find('/') != std::string::npos ||
      name.find('\0') != std::string::npos) {
    throw std::invalid_argument(fmt::format(
        "result: '{}': expected a name that is not empty, not a dot and without slashes", name));
  }
}

void validate_windows(const std::string& what, const TokenWindows& windows) {
  require_size(what, windows.tokens.size(), windows.windows() * windows.sequence_length);
}

void validate_activations(const Result& result) {
  for (const auto& [name, statistics] : result.activations) {
    require_name(name);
    require_size(name + " histogram", statistics.histogram.size(), kHistogramSize);
    for (const AmaxSnapshot& one : statistics.snapshots) {
      if (one.sequences > result.sample_ids.size()) {
        throw std::invalid_argument(fmt::format("result: {}: amax after {} of {} sequences", name,
                                                one.sequences, result.sample_ids.size()));
      }
    }
  }
  for (const auto& [alias, name] : result.activation_aliases) {
    require_name(alias);
    if (result.activations.contains(alias) || !result.activations.contains(name)) {
      throw std::invalid_argument(fmt::format(
          "result: alias {}: expected a new name for an observed module, found {}", alias, name));
    }
  }
}

void validate_perplexity(const Result& result) {
  for (const auto& [variant, perplexity] : result.perplexity) {
    require_name(variant);
    require_size(variant + " windows", perplexity.windows, result.evaluation.windows());
    require_size(variant + " predictions", perplexity.predictions + 1,
                 result.evaluation.sequence_length);
    require_size(variant + " nll", perplexity.nll.size(),
                 perplexity.windows * perplexity.predictions);
    const std::size_t compared = perplexity.kl.empty() ? 0 : perplexity.nll.size();
    require_size(variant + " kl", perplexity.kl.size(), compared);
    require_size(variant + " same_top", perplexity.same_top.size(), compared);
    if (perplexity.nll.empty()) {
      throw std::invalid_argument(fmt::format("result: {}: no predictions", variant));
    }
  }
}

}  // namespace

void validate(const Result& result) {
  validate_windows("calibration tokens", result.calibration);
  validate_windows("evaluation tokens", result.evaluation);
  require_size("sample ids", result.sample_ids.size(), result.calibration.windows());
  validate_activations(result);
  for (const auto& [name, statistics] : result.weights) require_name(name);
  for (const auto& [recipe, modules] : result.scales) {
    require_name(recipe);
    for (const auto& [name, scales] : modules) require_name(name);
  }
  for (const auto& [recipe, tensors] : result.diagnostics) {
    require_name(recipe);
    for (const auto& [name, error] : tensors) require_name(name);
  }
  validate_perplexity(result);
}

}  // namespace fp8cal
