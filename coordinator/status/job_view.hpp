#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/status/job_status.hpp"
#include "coordinator/status/slurm_jobs.hpp"

namespace fp8cal {

/// All that is known of one run of a job.
struct TaskView {
  std::optional<std::uint64_t> task = {};  ///< its number, in an array
  std::string status_file = {};
  std::optional<JobStatus> status = {};
  std::string status_problem = {};         ///< why there is no status
  std::optional<SlurmJob> slurm = {};      ///< what squeue knows
  std::optional<SlurmRecord> record = {};  ///< what accounting knows, where squeue knows nothing
  std::optional<std::int64_t> saved = {};  ///< when progress was saved last, seconds since 1970
  std::string standard_error = {};         ///< path; empty where there is no such file

  /// As Slurm calls it: "123" or "120_3"; empty where it never ran under Slurm, as far as is known.
  std::string slurm_id() const;
};

/// A job, or an array of them.
struct JobView {
  std::string folder = {};  ///< that 'fp8cal submit' made; empty: a job that was started without it
  bool is_array = false;
  std::vector<TaskView> tasks = {};         ///< one where it is no array
  std::optional<SlurmJob> collecting = {};  ///< the job that collects an array's results
  std::string slurm_problem = {};           ///< why Slurm was not heard
};

/// A job of 'fp8cal submit'. jobs: those of its folder that squeue tells of. Throws InputError
/// where the folder's sweep.json is no such file.
JobView view_of_folder(const std::string& folder, const std::vector<SlurmJob>& jobs,
                       const std::string& slurm_problem);

/// A job that was started otherwise, with this file as its runtime.status.
JobView view_of_file(const std::string& status_file);

}  // namespace fp8cal
