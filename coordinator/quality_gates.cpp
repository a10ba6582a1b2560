#include "coordinator/quality_gates.hpp"

#include <fmt/format.h>

namespace fp8cal {

std::string failed_gates(const Job& job, const Result& result) {
  std::string failed;
  const auto hold = [&failed](const std::string& key, double limit, const std::string& recipe,
                              const char* what, double found) {
    if (found <= limit) return;
    failed +=
        fmt::format("{}{}: {}: {}: expected at most {}, found {:.6g}",
                    failed.empty() ? "quality gate: " : "; ", key, recipe, what, limit, found);
  };
  for (const std::string& recipe : job.scales.recipes) {
    const Perplexity& own = result.perplexity.at(recipe);
    if (job.evaluation.max_delta_ppl) {
      hold("evaluation.max_delta_ppl", *job.evaluation.max_delta_ppl, recipe,
           "perplexity difference", own.ppl() - result.perplexity.at("bf16").ppl());
    }
    if (job.evaluation.max_kl) {
      hold("evaluation.max_kl", *job.evaluation.max_kl, recipe, "mean KL divergence",
           own.mean_kl());
    }
  }
  return failed;
}

}  // namespace fp8cal
