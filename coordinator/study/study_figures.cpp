#include "coordinator/study/study_figures.hpp"

#include "coordinator/protocol/overlap_check.hpp"
#include "jobs/error.hpp"
#include "jobs/result_reader.hpp"

namespace fp8cal {
namespace {

const Perplexity& perplexity_of(const Result& result, const std::string& variant,
                                const std::string& where) {
  const auto found = result.perplexity.find(variant);
  if (found != result.perplexity.end()) return found->second;
  throw InputError(where, "/perplexity", variant, "none of that name");
}

}  // namespace

StudyFigures read_figures(const Study& study) {
  StudyFigures figures;
  for (std::size_t cell = 0; cell < study.cells.size(); ++cell) {
    const Job& job = study.cells[cell].job;
    const std::string& where = job.output.result;
    const StoredResult stored = read_result(where);
    figures.digests.push_back(stored.digest);
    figures.objections.push_back(not_reportable(stored.result.job));
    const Perplexity& bf16 = perplexity_of(stored.result, "bf16", where);
    for (const std::string& recipe : job.scales.recipes) {
      const Perplexity& own = perplexity_of(stored.result, recipe, where);
      figures.all.push_back({.cell = cell,
                             .dataset = study.calibrations[study.cells[cell].calibration].dataset,
                             .seed = job.calibration.seed,
                             .samples = job.calibration.samples,
                             .policy = job.scales.policy,
                             .recipe = recipe,
                             .bf16 = bf16.ppl(),
                             .perplexity = own.ppl(),
                             .sums = WindowSums::of(bf16, own)});
    }
  }
  return figures;
}

}  // namespace fp8cal
