#pragma once

#include <optional>
#include <string>
#include <vector>

#include "jobs/result.hpp"

namespace fp8cal {

/// How one recipe of a result compares with BF16; none where there is nothing to compare with.
struct RecipeFigures {
  std::string recipe;
  std::optional<double> bf16 = {};  ///< perplexity
  double perplexity = 0;
  std::optional<PerplexityDifference> difference = {};  ///< without an interval where there is none
  bool has_interval = false;
  std::optional<double> mean_kl = {};         ///< nats a token
  std::optional<double> top1_agreement = {};  ///< share of tokens
  std::string verdict = {};                   ///< on the difference; empty where there is none
};

/// Of the recipes that were evaluated: in the order in which the job names them, then others.
std::vector<RecipeFigures> recipe_figures(const Result& result);

}  // namespace fp8cal
