#pragma once

#include "coordinator/audit/finding.hpp"
#include "jobs/model_config.hpp"
#include "jobs/result.hpp"

namespace fp8cal {

/// Whether the numbers of a result fit each other, whatever its digest: someone may have changed
/// some of them and computed the digest anew. `result` has passed result_reader's checks.
/// Recomputes all that follows from the rest, on `threads` threads. Findings in the order of data
/// flow.
void check_consistency(const Result& result, int threads, Findings& findings);

/// Its steps.

/// Counts, lengths and digests in /job against the tokens.
void check_job(const Result& result, Findings& findings);

/// Every distribution and weight of the model is there, of the right size, and counts what the
/// windows have.
void check_statistics(const Result& result, const ModelConfig& shape, Findings& findings);

/// Scales and diagnostics against what recipe, policy and distributions give, bit for bit.
void check_derived(const Result& result, const ModelConfig& shape, int threads, Findings& findings);

/// Variants, and their distance from bf16.
void check_perplexity(const Result& result, Findings& findings);

/// Whether the result holds a calibration; an FP8 checkpoint is only evaluated.
bool is_calibrated(const Result& result);

}  // namespace fp8cal
