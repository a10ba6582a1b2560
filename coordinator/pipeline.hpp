#pragma once

#include <string>

#include "coordinator/inputs.hpp"
#include "jobs/job.hpp"
#include "sharding/control.hpp"
#include "worker/progress.hpp"

namespace fp8cal {

/// What a finished job tells.
struct Outcome {
  Result result;
  std::string digest;  ///< content digest of the result file
  Plan plan;
  std::string failed_gates;       ///< what failed_gates() says; empty but on rank 0
  std::uint64_t peak_memory = 0;  ///< of the rank's device that needed most, bytes
  double seconds = 0;
};

/// Adds how far each recipe's perplexity is from that of BF16, where both are there.
void add_differences(const Job& job, Result& result);

/// Runs a job but for writing its result: the outcome has no digest yet. inputs: what read_inputs
/// gives, or the same from elsewhere. Collective over `world`; the outcome is filled on rank 0.
/// Throws as run_job does.
Outcome compute_job(const Job& job, Inputs inputs, const std::string& command_line,
                    const Control& control, MPI_Comm world, ProgressListener& progress);

/// Runs a job to its result file. Collective over `world`; the outcome is filled on rank 0. Throws
/// AgreedError where all ranks know of the failure, any other exception where this one alone does:
/// the process must then abort the others.
Outcome run_job(const Job& job, const std::string& command_line, const Control& control,
                MPI_Comm world, ProgressListener& progress);

}  // namespace fp8cal
