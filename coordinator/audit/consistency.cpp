#include "coordinator/audit/consistency.hpp"

#include "coordinator/model_attributes.hpp"

namespace fp8cal {

bool is_calibrated(const Result& result) {
  return result.job.contains("calibration_tokens_sha256");
}

void check_consistency(const Result& result, int threads, Findings& findings) {
  check_job(result, findings);
  try {
    const ModelConfig shape = model_shape(result.job, "/job");
    const std::size_t before = findings.count();
    check_statistics(result, shape, findings);
    // Scales of wrong distributions would only be wrong as well.
    if (findings.count() == before) check_derived(result, shape, threads, findings);
  } catch (const InputError& error) {
    findings.add(finding_of(error, ""));
  }
  check_perplexity(result, findings);
}

}  // namespace fp8cal
