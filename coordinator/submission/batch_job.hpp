#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "coordinator/audit/tolerances.hpp"
#include "coordinator/study/study.hpp"
#include "coordinator/submission/sweep.hpp"
#include "jobs/job.hpp"

namespace fp8cal {

/// One job of an array, or the only one.
struct BatchTask {
  std::vector<std::string> values;   ///< one a key of the sweep
  std::vector<JobOption> options;    ///< what it has beside the options of all: values, own paths
  Job job;                           ///< as it will run, but for what the run folder holds
  std::filesystem::path result;      ///< absolute; empty: a rerun, which writes none
  std::filesystem::path checkpoint;  ///< absolute; empty: none
  std::filesystem::path status;      ///< in the run folder
  std::filesystem::path progress;    ///< saved progress, absolute
};

/// A job file and its options as a batch of jobs that cannot meet in their files.
struct BatchJob {
  std::filesystem::path job_file;    ///< absolute
  std::filesystem::path run_folder;  ///< absolute
  std::filesystem::path rerun;       ///< result that is run again, absolute; empty: none
  std::vector<std::string> command;  ///< what fp8cal is told before any job key
  std::vector<std::string> collect;  ///< of an array: what puts its results into one table
  std::filesystem::path writes;      ///< of a study: what all tasks write; else each its own
  Sweep sweep;
  std::vector<JobOption> options;  ///< of all tasks
  std::vector<BatchTask> tasks;

  bool is_array() const { return !sweep.keys().empty(); }
};

/// Reads the job of each task and fits it to its model. Throws InputError as read_job and
/// fit_to_model do, naming the task.
BatchJob make_batch_job(const std::filesystem::path& job_file,
                        const std::vector<JobOption>& options, const Sweep& sweep);

/// A rerun of the stored result `rerun` as such a batch, with `tolerances` for what is compared.
/// job: the stored one, as rerun_of gives it.
BatchJob make_rerun_batch(const std::filesystem::path& job_file,
                          const std::vector<JobOption>& options, const std::filesystem::path& rerun,
                          const Tolerances& tolerances, const Job& job);

/// A study as such a batch: a task for each of its calibrations, which writes the results of its
/// cells, and the study's tables as what collects.
BatchJob make_study_batch(const std::filesystem::path& job_file,
                          const std::vector<JobOption>& options, const Study& study);

/// What sweep.json holds: {"format": "fp8cal-sweep", "version": 1, "job": path, "keys": [...],
/// "tasks": [{"task": 0, "values": [...], "result": path, "status": path}, ...]}. A path that is no
/// UTF-8 is an InputError: JSON could not name it.
std::string sweep_json(const BatchJob& batch);

}  // namespace fp8cal
