#include "coordinator/report/standing.hpp"

#include "coordinator/protocol/overlap_check.hpp"
#include "coordinator/recipe_figures.hpp"
#include "coordinator/scales/diagnostics_text.hpp"

namespace fp8cal {
namespace {

template <class T>
const T* attribute(const Attributes& attributes, const std::string& name) {
  const auto found = attributes.find(name);
  return found == attributes.end() ? nullptr : std::get_if<T>(&found->second);
}

bool says(const Attributes& attributes, const std::string& name, const std::string& value) {
  const auto* text = attribute<std::string>(attributes, name);
  return text != nullptr && *text == value;
}

void add_obstacles(const Result& result, Standing& standing) {
  // From the tokens: results from before there was this check have no mark.
  const std::string overlap = overlap_mark(result.calibration, result.evaluation);
  if (!overlap.empty()) {
    standing.obstacles.push_back("calibration and evaluation text overlap: " + overlap);
  }
  const std::vector<RecipeFigures> recipes = recipe_figures(result);
  if (recipes.empty()) standing.obstacles.emplace_back("no recipe was evaluated");
  bool compared = true;
  bool bounded = true;
  for (const RecipeFigures& one : recipes) {
    compared &= one.difference.has_value();
    bounded &= one.has_interval;
  }
  if (!compared) standing.obstacles.emplace_back("perplexity was not measured in BF16");
  if (compared && !bounded) {
    standing.obstacles.emplace_back("too few evaluation windows for a confidence interval");
  }
}

}  // namespace

Standing standing_of(const Result& result) {
  Standing standing;
  add_obstacles(result, standing);
  const auto* warnings = attribute<std::vector<std::string>>(result.provenance, "warnings");
  if (warnings != nullptr) standing.warnings = *warnings;
  if (says(result.provenance, "weights_streamed", "yes")) {
    standing.warnings.emplace_back("weights were streamed through the device memory");
  }
  if (says(result.job, "fp8_products", "dequantized")) {
    standing.warnings.emplace_back(
        "computed without FP8 tensor cores: products of the dequantized operands");
  }
  const std::string convergence = describe_convergence(result);
  if (convergence.starts_with("not converged")) standing.warnings.push_back(convergence);
  return standing;
}

}  // namespace fp8cal
