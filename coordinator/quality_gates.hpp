#pragma once

#include <string>

#include "jobs/job.hpp"
#include "jobs/result.hpp"

namespace fp8cal {

/// Which recipes exceed which of the job's limits (evaluation.max_delta_ppl, max_kl), in one line;
/// empty where none does.
std::string failed_gates(const Job& job, const Result& result);

}  // namespace fp8cal
