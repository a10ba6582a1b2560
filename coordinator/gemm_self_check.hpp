#pragma once

#include <string>

#include "jobs/job.hpp"
#include "jobs/model_config.hpp"
#include "kernels/backend.hpp"

namespace fp8cal {

/// Proves, before work begins, that this device computes the job's matrix products to the same bits
/// whole and in slices: what the promise of equal results on any cluster rests on. Returns what to
/// record. Throws Error with the first difference, unless runtime.allow_variant_gemm: then the
/// difference is what is recorded.
std::string check_gemms(Backend& backend, const ModelConfig& config, const Job& job);

}  // namespace fp8cal
