#include "coordinator/verdict.hpp"

#include <cmath>

#include "coordinator/protocol/overlap_check.hpp"

namespace fp8cal {

std::string verdict(double difference) {
  const double size = std::fabs(difference);
  if (size < 0.05) return "within run-to-run variation";
  if (size <= 0.1) return "within the variance envelope";
  if (size <= 0.3) return "expected";
  if (size <= 1.0) return "ambiguous: run downstream benchmarks";
  return "broken scales or an unsuitable format";
}

std::string verdict(double difference, const Attributes& job) {
  const std::string objection = not_reportable(job);
  return objection.empty() ? verdict(difference) : verdict(difference) + "; " + objection;
}

}  // namespace fp8cal
