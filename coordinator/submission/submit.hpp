#pragma once

#include <string>
#include <vector>

#include "coordinator/audit/tolerances.hpp"
#include "coordinator/submission/submit_options.hpp"
#include "jobs/job.hpp"
#include "sharding/control.hpp"

namespace fp8cal {

/// What `fp8cal submit` is asked for.
struct Submission {
  std::string job_file;
  std::vector<JobOption> job_options;
  SubmitOptions options;
  Tolerances tolerances;                 ///< of a rerun
  std::vector<std::string> environment;  ///< that this program was started with: the job's
};

/// Checks a job against its model and the cluster, writes its batch script and hands it to Slurm.
/// Prints what the job will need and how to follow it; with dry_run the script, and the rest on
/// standard error. Throws AgreedError; where Slurm did not take the job, nothing is left behind.
/// control: of one process.
void submit(const Submission& submission, const Control& control);

}  // namespace fp8cal
