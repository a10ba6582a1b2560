#include "coordinator/report/result_figures.hpp"

#include "coordinator/scales/diagnostics_text.hpp"

namespace fp8cal {
namespace {

constexpr std::size_t kOutliersShown = 10;

ResultFigures figures_with_latency(const StoredResult& stored, const std::string& file) {
  ResultFigures figures = figures_of(stored, file);
  figures.latency = read_latency(file);
  return figures;
}

}  // namespace

ResultFigures figures_of(const StoredResult& stored, const std::string& file) {
  const Result& result = stored.result;
  ResultFigures figures{.file = file,
                        .digest = stored.digest,
                        .standing = standing_of(result),
                        .bf16 = {},
                        .recipes = recipe_figures(result),
                        .amax = amax_by_layer(result),
                        .outliers = largest_outliers(result.activations, kOutliersShown),
                        .advice = {},
                        .distributions = tensor_distributions(result),
                        .convergence = convergence_by_column(result),
                        .convergence_line = describe_convergence(result),
                        .kv = kv_ranges(result),
                        .sqnr = sqnr_by_layer(result),
                        .timeline = timeline_of(result),
                        .facts = facts_of(stored)};
  const auto bf16 = result.perplexity.find("bf16");
  if (bf16 != result.perplexity.end()) figures.bf16 = bf16->second.ppl();
  for (const std::string& line : describe_outliers(result)) figures.advice.push_back(line);
  return figures;
}

ResultFigures read_figures(const std::string& file) {
  return figures_with_latency(read_result(file), file);
}

ReportFigures read_report(const std::vector<std::string>& files) {
  ReportFigures figures;
  StoredResult first;
  for (const std::string& file : files) {
    StoredResult stored = read_result(file);
    figures.results.push_back(figures_with_latency(stored, file));
    if (figures.results.size() == 1) {
      first = std::move(stored);
    } else {
      figures.comparisons.push_back(compare(first, stored, {}));
    }
  }
  return figures;
}

std::string result_letter(std::size_t index) {
  return std::string(1, static_cast<char>('A' + static_cast<char>(index)));
}

}  // namespace fp8cal
