#include "coordinator/submission/batch_job.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "coordinator/inputs.hpp"
#include "coordinator/submission/run_folder.hpp"
#include "jobs/error.hpp"

namespace fp8cal {
namespace {

namespace fs = std::filesystem;

fs::path full_path(const fs::path& path) { return fs::absolute(path).lexically_normal(); }

/// "out/result-3.h5".
fs::path numbered(const fs::path& file, std::size_t task) {
  const std::string name =
      fmt::format("{}-{}{}", file.stem().string(), task, file.extension().string());
  return file.parent_path() / name;
}

/// "out/progress-3".
fs::path numbered_folder(fs::path folder, std::size_t task) {
  if (!folder.has_filename()) folder = folder.parent_path();
  return folder.string() + fmt::format("-{}", task);
}

/// What a task's job reads beside what its sweep gives it.
std::vector<JobOption> sweep_options(const Sweep& sweep, const BatchTask& task) {
  std::vector<JobOption> options;
  for (std::size_t i = 0; i < sweep.keys().size(); ++i) {
    options.push_back({sweep.keys()[i].key, task.values[i]});
  }
  return options;
}

Job read_task_job(const fs::path& job_file, std::vector<JobOption> options, const BatchTask& task) {
  options.insert(options.end(), task.options.begin(), task.options.end());
  return fit_to_model(read_job(job_file, options));
}

/// Where the files lie that any job has; in the run folder, where the job does not name its own.
/// Returns whether it does.
bool place_record(BatchTask& task, const fs::path& run_folder) {
  const bool saves = !task.job.runtime.checkpoint.empty();
  task.progress = saves ? full_path(task.job.runtime.checkpoint) : run_folder / "progress";
  task.status = run_folder / "status.json";
  return saves;
}

/// Adds what the task's job is told of them. names_progress: also where its progress is.
void tell_record(BatchTask& task, bool names_progress) {
  task.options.push_back({"runtime.status", task.status.string()});
  if (names_progress) task.options.push_back({"runtime.checkpoint", task.progress.string()});
}

void place_files(BatchTask& task, std::size_t number, const fs::path& run_folder, bool is_array) {
  const Job& job = task.job;
  task.result = full_path(job.output.result);
  if (!job.output.checkpoint.empty()) task.checkpoint = full_path(job.output.checkpoint);
  const bool saves = place_record(task, run_folder);
  if (is_array) {
    task.result = numbered(task.result, number);
    task.progress = numbered_folder(task.progress, number);
    task.status = numbered(task.status, number);
    if (!task.checkpoint.empty()) task.checkpoint = numbered_folder(task.checkpoint, number);
    task.options.push_back({"output.result", task.result.string()});
    if (!task.checkpoint.empty()) {
      task.options.push_back({"output.checkpoint", task.checkpoint.string()});
    }
    task.job.output.result = task.result.string();
    task.job.output.checkpoint = task.checkpoint.string();
  }
  tell_record(task, is_array || !saves);
}

/// A key is given once: what a task or the batch script says wins.
void drop_replaced_options(BatchJob& batch) {
  std::erase_if(batch.options, [&](const JobOption& option) {
    const bool caches = batch.is_array() && option.key == "runtime.token_cache";
    if (caches || option.key == "runtime.ranks") return true;
    const auto& own = batch.tasks.front().options;
    return std::any_of(own.begin(), own.end(),
                       [&](const JobOption& one) { return one.key == option.key; });
  });
}

}  // namespace

BatchJob make_batch_job(const fs::path& job_file, const std::vector<JobOption>& options,
                        const Sweep& sweep) {
  BatchJob batch = {.job_file = full_path(job_file),
                    .run_folder = {},
                    .rerun = {},
                    .command = {"run", full_path(job_file).string()},
                    .collect = {},
                    .writes = {},
                    .sweep = sweep,
                    .options = options,
                    .tasks = {}};
  for (std::size_t number = 0; number < sweep.tasks(); ++number) {
    BatchTask task;
    task.values = sweep.values(number);
    task.options = sweep_options(sweep, task);
    try {
      task.job = read_task_job(batch.job_file, options, task);
    } catch (const Error& error) {
      if (!batch.is_array()) throw;
      throw Error(error.code(), fmt::format("task {}: {}", number, error.what()));
    }
    if (number == 0) batch.run_folder = run_folder_of(task.job.output.result);
    place_files(task, number, batch.run_folder, batch.is_array());
    batch.tasks.push_back(std::move(task));
  }
  drop_replaced_options(batch);
  batch.collect = {"collect", (batch.run_folder / "sweep.json").string(), "--csv",
                   (batch.run_folder / "collected.csv").string()};
  return batch;
}

BatchJob make_study_batch(const fs::path& job_file, const std::vector<JobOption>& options,
                          const Study& study) {
  std::vector<std::string> datasets, seeds;
  for (const StudyCalibration& one : study.calibrations) {
    const std::string seed = fmt::to_string(one.job.calibration.seed);
    if (std::ranges::find(datasets, one.dataset) == datasets.end()) datasets.push_back(one.dataset);
    if (std::ranges::find(seeds, seed) == seeds.end()) seeds.push_back(seed);
  }
  BatchJob batch = {
      .job_file = full_path(job_file),
      .run_folder = run_folder_of(study.file),
      .rerun = {},
      .command = {"study", full_path(job_file).string()},
      .collect = {},
      .writes = study.results,
      .sweep = Sweep({{"calibration.dataset", datasets}, {"calibration.seed", seeds}}),
      .options = options,
      .tasks = {}};
  for (std::size_t k = 0; k < study.calibrations.size(); ++k) {
    BatchTask task;
    task.values = batch.sweep.values(k);
    task.job = study.calibrations[k].job;
    task.result = study.file;
    task.status = numbered(batch.run_folder / "status.json", k);
    task.options = {{"part", fmt::format("{}/{}", k, study.calibrations.size())},
                    {"runtime.status", task.status.string()}};
    batch.tasks.push_back(std::move(task));
  }
  drop_replaced_options(batch);
  batch.collect = batch.command;
  batch.collect.insert(batch.collect.end(),
                       {"--tables", "--csv", (batch.run_folder / "collected").string()});
  for (const JobOption& option : batch.options) {
    batch.collect.insert(batch.collect.end(), {"--" + option.key, option.value});
  }
  return batch;
}

BatchJob make_rerun_batch(const fs::path& job_file, const std::vector<JobOption>& options,
                          const fs::path& rerun, const Tolerances& tolerances, const Job& job) {
  BatchJob batch = {.job_file = full_path(job_file),
                    .run_folder = run_folder_of(rerun.string() + ".rerun"),
                    .rerun = full_path(rerun),
                    .command = {},
                    .collect = {},
                    .writes = {},
                    .sweep = {},
                    .options = options,
                    .tasks = {}};
  batch.command = {"audit", batch.rerun.string(), batch.job_file.string(), "--rerun"};
  const auto tolerate = [&](const char* option, double most) {
    if (most == 0) return;
    batch.command.insert(batch.command.end(), {option, fmt::to_string(most)});
  };
  tolerate("--tolerance-scale", tolerances.scale);
  tolerate("--tolerance-ppl", tolerances.ppl);
  BatchTask task;
  task.job = job;
  tell_record(task, !place_record(task, batch.run_folder));
  batch.tasks.push_back(std::move(task));
  drop_replaced_options(batch);
  return batch;
}

std::string sweep_json(const BatchJob& batch) {
  nlohmann::ordered_json keys = nlohmann::ordered_json::array();
  for (const SweepKey& key : batch.sweep.keys()) keys.push_back(key.key);
  nlohmann::ordered_json tasks = nlohmann::ordered_json::array();
  for (std::size_t number = 0; number < batch.tasks.size(); ++number) {
    const BatchTask& task = batch.tasks[number];
    tasks.push_back({{"task", number},
                     {"values", task.values},
                     {"result", task.result.string()},
                     {"status", task.status.string()}});
  }
  const nlohmann::ordered_json json = {{"format", "fp8cal-sweep"},
                                       {"version", 1},
                                       {"job", batch.job_file.string()},
                                       {"keys", std::move(keys)},
                                       {"tasks", std::move(tasks)}};
  try {
    return json.dump(1) + "\n";
  } catch (const nlohmann::json::type_error&) {
    throw InputError("output.result", "path of an array of jobs", "UTF-8", "other bytes");
  }
}

}  // namespace fp8cal
