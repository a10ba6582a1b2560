#include "coordinator/submission/submit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "coordinator/audit/rerun.hpp"
#include "coordinator/child_process.hpp"
#include "coordinator/computation.hpp"
#include "coordinator/input_reader.hpp"
#include "coordinator/output_checks.hpp"
#include "coordinator/status/slurm_jobs.hpp"
#include "coordinator/study/study.hpp"
#include "coordinator/submission/batch_job.hpp"
#include "coordinator/submission/batch_script.hpp"
#include "coordinator/submission/cluster.hpp"
#include "coordinator/submission/forecast.hpp"
#include "coordinator/submission/run_folder.hpp"
#include "coordinator/submission/site_config.hpp"
#include "coordinator/submission/slurm_commands.hpp"
#include "coordinator/submission/slurm_time.hpp"
#include "coordinator/submission/submission_text.hpp"
#include "jobs/atomic_file.hpp"
#include "jobs/error.hpp"
#include "jobs/json.hpp"
#include "jobs/result_reader.hpp"
#include "sharding/agreement.hpp"

namespace fp8cal {
namespace {

namespace fs = std::filesystem;

/// The site's settings, with what the command line says instead.
SiteConfig site_of(const SubmitOptions& options) {
  std::string file = options.site_file;
  if (const char* named = std::getenv("FP8CAL_SITE"); file.empty() && named != nullptr) {
    file = named;
  }
  SiteConfig site = file.empty() ? SiteConfig() : read_site_config(file);
  if (!options.partition.empty()) site.partition = options.partition;
  if (!options.account.empty()) site.account = options.account;
  if (!options.time.empty()) site.time = options.time;
  return site;
}

void check_time(const SiteConfig& site) {
  if (site.time.empty()) return;
  const auto seconds = parse_slurm_time(site.time);
  if (!seconds) {
    throw InputError("--time", "bad value", "a time such as 90 (minutes), 1:30:00 or 2-12 (days)",
                     in_quotes(site.time));
  }
  if (*seconds > static_cast<std::uint64_t>(site.warning)) return;
  throw InputError("--time", "no longer than the warning before it",
                   fmt::format("more than {} s (site.warning)", site.warning),
                   fmt::format("{} s", *seconds));
}

void check_job_id(const std::string& id) {
  if (id.empty() || is_slurm_id(id)) return;
  throw InputError("--after", "bad value", "a job's id such as 123 or 123_4", in_quotes(id));
}

/// The partition's nodes; none where a dry run has no cluster to look at.
std::vector<NodeGroup> nodes_for(const SubmitOptions& options, const SiteConfig& site,
                                 const SlurmCommands& slurm) {
  if (options.dry_run && !is_on_path("sinfo")) return {};
  return partition_of(slurm.nodes(), site.partition);
}

/// What every node of the partition has for a job.
std::uint64_t node_memory(const SiteConfig& site, const std::vector<NodeGroup>& nodes) {
  if (site.memory) return *site.memory;
  if (nodes.empty()) return 0;
  return std::min_element(
             nodes.begin(), nodes.end(),
             [](const NodeGroup& a, const NodeGroup& b) { return a.memory < b.memory; })
      ->memory;
}

void check_outputs(const Job& job) {
  check_writable(job.output.result);
  check_checkpoint_output(job);
}

/// What a rerun needs: of a run, but no result is written. Every rank reads the stored one.
Forecast forecast_of_rerun(const Rerun& rerun, const Shape& shape, const SiteConfig& site,
                           std::uint64_t memory) {
  open_checkpoint(rerun.job, rerun.inputs.config);
  Forecast forecast = make_forecast(rerun.job, rerun.inputs,
                                    evaluated_variants(rerun.job, rerun.inputs.config).size(),
                                    shape, site, batch_device(rerun.job, site, memory, shape));
  constexpr std::uint64_t kFileAndParts = 2;
  const auto ranks = static_cast<std::uint64_t>(shape.ranks_per_node);
  forecast.host_memory += ranks * kFileAndParts * std::exchange(forecast.result_bytes, 0);
  return forecast;
}

/// The most that a task needs. Tasks whose jobs differ in nothing that matters to the plan are
/// planned once, but each draw is checked. evaluations: of each recipe, by a task. token_cache: a
/// folder, or empty.
Forecast forecast_of(const BatchJob& batch, std::size_t evaluations, const Shape& shape,
                     const SiteConfig& site, std::uint64_t memory, const fs::path& token_cache) {
  std::optional<Forecast> most;
  std::map<std::string, InputReader> readers;  // by model
  std::set<std::vector<std::string>> read, planned;
  for (const BatchTask& task : batch.tasks) {
    std::vector<std::string> texts, values;
    for (std::size_t i = 0; i < task.values.size(); ++i) {
      const std::string& key = batch.sweep.keys()[i].key;
      if (key == "scales.policy") continue;
      texts.push_back(task.values[i]);
      if (key != "calibration.seed") values.push_back(task.values[i]);
    }
    if (!read.insert(texts).second) continue;
    Job job = task.job;
    job.runtime.token_cache = token_cache;
    const Device device = batch_device(job, site, memory, shape);
    const std::string& model = job.model.path;
    const Inputs inputs =
        readers.try_emplace(model, read_model_config(model)).first->second.read(job);
    if (!planned.insert(values).second) continue;
    open_checkpoint(job, inputs.config);
    const Forecast one = make_forecast(
        job, inputs, evaluations * (evaluated_variants(job, inputs.config).size() - 1) + 1, shape,
        site, device);
    if (!most) most = one;
    if (one.plan.memory.total() > most->plan.memory.total()) {
      most->plan = one.plan;
      most->budget = one.budget;
    }
    most->host_memory = std::max(most->host_memory, one.host_memory);
    most->result_bytes = std::max(most->result_bytes, one.result_bytes);
    most->checkpoint_bytes = std::max(most->checkpoint_bytes, one.checkpoint_bytes);
    most->progress_bytes = std::max(most->progress_bytes, one.progress_bytes);
    most->seconds = std::max(most->seconds, one.seconds);
  }
  return *most;
}

BatchRequest request_for(const BatchJob& batch, const SubmitOptions& options,
                         const SiteConfig& site, const Forecast& forecast) {
  constexpr std::uint64_t kCollectorBytes = std::uint64_t{512} << 20;
  const Job& job = batch.tasks.front().job;
  const bool plans_itself =
      job.runtime.device_memory.has_value() || batch.sweep.has("runtime.device_memory");
  return {.nodes = options.nodes,
          .ranks_per_node = options.gpus_per_node,
          .gpus = job.runtime.backend != "cpu",
          .memory = site.memory.value_or(forecast.host_memory),
          .collect_memory = kCollectorBytes + 3 * forecast.result_bytes,
          .partition = site.partition,
          .account = site.account,
          .time = site.time,
          .after = options.after,
          // What is planned here is what runs there, whatever a node has.
          .device_memory = plans_itself ? "" : fmt::to_string(forecast.budget)};
}

/// Throws where the partition has not that, or not with `memory` on each node.
void check_cluster(const std::vector<NodeGroup>& nodes, const SiteConfig& site, const Shape& shape,
                   bool gpus, std::uint64_t memory) {
  if (nodes.empty()) return;
  const auto ranks = static_cast<std::uint64_t>(shape.ranks_per_node);
  check_request(nodes, {.nodes = static_cast<std::uint64_t>(shape.nodes),
                        .gpus = gpus ? ranks : 0,
                        .memory = memory,
                        .time = parse_slurm_time(site.time)});
}

/// The container's words and the program in it.
std::vector<std::string> program_of(const SiteConfig& site) {
  std::vector<std::string> words = site.container;
  if (!site.program.empty()) {
    words.push_back(site.program);
  } else {
    words.push_back(words.empty() ? fs::read_symlink("/proc/self/exe").string() : "fp8cal");
  }
  return words;
}

/// Writes the scripts and hands them to Slurm.
void hand_over(const BatchJob& batch, const std::string& run, const std::string& collect,
               const Shape& shape, const SlurmCommands& slurm, StagedFiles& files) {
  // What an earlier job left is not to be taken for this one's.
  if (batch.is_array()) {
    files.write("sweep.json", sweep_json(batch));
  } else {
    files.remove("sweep.json");
  }
  for (const BatchTask& task : batch.tasks) files.remove(task.status.filename().string());
  const std::string job = slurm.submit(files.write("batch.sh", run), {});
  files.keep();
  std::optional<std::string> collecting;
  try {
    if (batch.is_array()) {
      collecting =
          slurm.submit(files.write("collect.sh", collect), {"--dependency=afterany:" + job});
    }
  } catch (const Error& error) {
    fmt::print("{}", describe_submitted(batch, shape, job, std::nullopt));
    throw Error(error.code(),
                fmt::format("{}; job {} is submitted without its collecting task: run 'fp8cal "
                            "collect {}' at its end",
                            error.what(), job, (batch.run_folder / "sweep.json").string()));
  }
  fmt::print("{}", describe_submitted(batch, shape, job, collecting));
}

void refuse_second(const BatchJob& batch, const SlurmCommands& slurm) {
  const auto job = slurm.job_with_comment(job_comment(batch.run_folder));
  if (!job) return;
  throw InputError("submit", "a job for this result is queued or running",
                   "its end, or 'scancel " + *job + "'", "job " + *job);
}

/// What is wrong with the options alone is said first.
SiteConfig check_options(const Submission& submission, const Control& control) {
  if (control.size() > 1) {
    throw InputError("submit", "started as several ranks", "one process",
                     fmt::to_string(control.size()));
  }
  SiteConfig site = site_of(submission.options);
  check_time(site);
  check_job_id(submission.options.after);
  return site;
}

/// The stored job that is to run again; none where the job itself is to run.
std::optional<Rerun> read_rerun(const Submission& submission) {
  const std::string& stored = submission.options.rerun;
  if (stored.empty()) return std::nullopt;
  return rerun_of(read_result(stored), stored,
                  rerun_options(submission.job_file, submission.job_options));
}

BatchJob batch_of(const Submission& submission, const std::optional<Rerun>& rerun,
                  const std::optional<Study>& study) {
  const SubmitOptions& options = submission.options;
  if (rerun) {
    return make_rerun_batch(submission.job_file, submission.job_options, options.rerun,
                            submission.tolerances, rerun->job);
  }
  if (study) return make_study_batch(submission.job_file, submission.job_options, *study);
  return make_batch_job(submission.job_file, submission.job_options,
                        {options.array, submission.job_options});
}

void submit_alone(const Submission& submission, const Control& control) {
  const SubmitOptions& options = submission.options;
  const SiteConfig site = check_options(submission, control);
  const Shape shape = {options.nodes, options.gpus_per_node};
  const std::optional<Rerun> rerun = read_rerun(submission);
  std::optional<Study> study;
  if (options.study) study = read_study(submission.job_file, submission.job_options);
  const BatchJob batch = batch_of(submission, rerun, study);
  const std::size_t evaluations = study ? study->cells.size() / study->calibrations.size() : 1;
  const SlurmCommands slurm(job_environment(submission.environment));
  const std::vector<NodeGroup> nodes = nodes_for(options, site, slurm);
  const bool gpus = batch.tasks.front().job.runtime.backend != "cpu";
  check_cluster(nodes, site, shape, gpus, site.memory.value_or(0));
  if (!options.dry_run) refuse_second(batch, slurm);
  if (study) {
    check_writable(study->file);
  } else if (!rerun) {
    for (const BatchTask& task : batch.tasks) check_outputs(task.job);
  }

  std::optional<StagedFiles> files;
  if (!options.dry_run) files.emplace(batch.run_folder);
  // What is tokenized to plan an array need not be tokenized by its tasks.
  const fs::path cache = files && batch.is_array() ? token_cache_of(batch.run_folder) : fs::path();
  const std::uint64_t memory = node_memory(site, nodes);
  const Forecast forecast = rerun ? forecast_of_rerun(*rerun, shape, site, memory)
                                  : forecast_of(batch, evaluations, shape, site, memory, cache);
  const BatchRequest request = request_for(batch, options, site, forecast);
  check_cluster(nodes, site, shape, gpus, request.memory);
  const std::vector<std::string> program = program_of(site);
  const std::string run = run_script(batch, request, site, program, options.template_file);
  const std::string plan = describe_submission(batch, forecast, request, site);
  if (!files) {
    fmt::print(stderr, "{}", plan);
    fmt::print("{}", run);
    return;
  }
  fmt::print("{}", plan);
  std::fflush(stdout);
  const std::string collect =
      batch.is_array() ? collect_script(batch, request, site, program) : std::string();
  hand_over(batch, run, collect, shape, slurm, *files);
}

}  // namespace

void submit(const Submission& submission, const Control& control) {
  run_agreed(control, [&] { submit_alone(submission, control); });
}

}  // namespace fp8cal
