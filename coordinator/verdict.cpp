#include "coordinator/verdict.hpp"

#include <cmath>

#include "coordinator/protocol/overlap_check.hpp"

namespace fp8cal {

std::size_t verdict_band(double difference) {
  const double size = std::fabs(difference);
  if (size < kVerdictBands[0].limit) return 0;
  std::size_t band = 1;
  while (band < kVerdictBands.size() && !(size <= kVerdictBands[band].limit)) ++band;
  return band;
}

std::string verdict(double difference) {
  const std::size_t band = verdict_band(difference);
  return band < kVerdictBands.size() ? kVerdictBands[band].words : kVerdictBeyond.words;
}

std::string verdict(double difference, const Attributes& job) {
  const std::string objection = not_reportable(job);
  return objection.empty() ? verdict(difference) : verdict(difference) + "; " + objection;
}

}  // namespace fp8cal
