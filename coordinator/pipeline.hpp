#pragma once

#include <memory>
#include <string>

#include "coordinator/inputs.hpp"
#include "jobs/job.hpp"
#include "kernels/backend.hpp"
#include "sharding/control.hpp"
#include "worker/progress.hpp"

namespace fp8cal {

/// What a finished job tells.
struct Outcome {
  Result result;
  std::string digest;  ///< content digest of the result file
  Plan plan;
  double seconds = 0;
};

/// Runs a job to its result file. Collective over `world`; the outcome is filled on rank 0. Throws
/// AgreedError where all ranks know of the failure, any other exception where this one alone does:
/// the process must then abort the others.
Outcome run_job(const Job& job, const std::string& command_line, const Control& control,
                MPI_Comm world, ProgressListener& progress);

/// This rank's share of the host's cores, at least 1.
int threads_per_rank(const Control& control);

/// Memory that a rank may use, in bytes: runtime.device_memory, else 90 % of its GPU's, or its
/// share of 80 % of the host's. ranks_on_host: with which it shares the host.
std::uint64_t memory_budget(const Job& job, const Backend& backend, int ranks_on_host);

/// The backend of this rank; ranks of one host take its GPUs in turn. A bad runtime.backend is an
/// InputError.
std::unique_ptr<Backend> open_backend(const Job& job, const Control& control);

/// What to warn of before a job is run (DESIGN 10: number and length of the sequences).
std::vector<std::string> protocol_warnings(const Job& job);

}  // namespace fp8cal
