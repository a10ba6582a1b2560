#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "coordinator/submission/sweep.hpp"
#include "jobs/job.hpp"

namespace fp8cal {

/// One job of an array, or the only one.
struct BatchTask {
  std::vector<std::string> values;   ///< one a key of the sweep
  std::vector<JobOption> options;    ///< what it has beside the options of all: values, own paths
  Job job;                           ///< as it will run, but for what the run folder holds
  std::filesystem::path result;      ///< absolute
  std::filesystem::path checkpoint;  ///< absolute; empty: none
  std::filesystem::path status;      ///< in the run folder
  std::filesystem::path progress;    ///< saved progress, absolute
};

/// A job file and its options as a batch of jobs that cannot meet in their files.
struct BatchJob {
  std::filesystem::path job_file;    ///< absolute
  std::filesystem::path run_folder;  ///< absolute
  Sweep sweep;
  std::vector<JobOption> options;  ///< of all tasks
  std::vector<BatchTask> tasks;

  bool is_array() const { return !sweep.keys().empty(); }
};

/// Reads the job of each task and fits it to its model. Throws InputError as read_job and
/// fit_to_model do, naming the task.
BatchJob make_batch_job(const std::filesystem::path& job_file,
                        const std::vector<JobOption>& options, const Sweep& sweep);

/// What sweep.json holds: {"format": "fp8cal-sweep", "version": 1, "job": path, "keys": [...],
/// "tasks": [{"task": 0, "values": [...], "result": path, "status": path}, ...]}. A path that is no
/// UTF-8 is an InputError: JSON could not name it.
std::string sweep_json(const BatchJob& batch);

}  // namespace fp8cal
