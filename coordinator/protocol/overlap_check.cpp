#include "coordinator/protocol/overlap_check.hpp"

#include <fmt/format.h>

#include "coordinator/protocol/overlap.hpp"
#include "jobs/error.hpp"

namespace fp8cal {
namespace {

std::string mark_of(const Overlap& overlap) {
  if (!overlap.beyond_chance()) return "";
  return fmt::format("{} of {} evaluation tokens lie in {}-grams of the calibration text",
                     overlap.tokens, overlap.evaluation_tokens, kOverlapGram);
}

}  // namespace

std::string overlap_mark(const TokenWindows& calibration, const TokenWindows& evaluation) {
  return mark_of(find_overlap(calibration, evaluation));
}

std::string check_overlap(const Job& job, const TokenWindows& calibration,
                          const TokenWindows& evaluation) {
  const Overlap overlap = find_overlap(calibration, evaluation);
  if (!overlap.beyond_chance() || job.evaluation.allow_overlap) return mark_of(overlap);
  throw InputError(
      job.calibration.dataset, "overlaps the evaluation text, " + job.evaluation.dataset,
      fmt::format("at most {} of {} evaluation tokens in {}-grams of the calibration text",
                  overlap.allowed(), overlap.evaluation_tokens, kOverlapGram),
      fmt::format("{} in {} of them, the first at evaluation window {}, position {}, and "
                  "calibration sequence {}, position {}; --allow-overlap goes on and marks the "
                  "result as not reportable",
                  overlap.tokens, overlap.grams, overlap.evaluation.window,
                  overlap.evaluation.position, overlap.calibration.window,
                  overlap.calibration.position));
}

std::string not_reportable(const Attributes& job) {
  return job.contains(kOverlapAttribute) ? "not reportable: calibration and evaluation text overlap"
                                         : "";
}

}  // namespace fp8cal
