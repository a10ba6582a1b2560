#include "coordinator/commands.hpp"

#include <fmt/format.h>
#include <mpi.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdio>
#include <new>
#include <optional>

#include "coordinator/audit/audit_command.hpp"
#include "coordinator/bench.hpp"
#include "coordinator/checkpoint/export.hpp"
#include "coordinator/checkpoint/export_folder.hpp"
#include "coordinator/checkpoint/synthetic_checkpoint.hpp"
#include "coordinator/child_process.hpp"
#include "coordinator/help_text.hpp"
#include "coordinator/job_progress.hpp"
#include "coordinator/output_checks.hpp"
#include "coordinator/pipeline.hpp"
#include "coordinator/preparation.hpp"
#include "coordinator/profile/profile_command.hpp"
#include "coordinator/progress.hpp"
#include "coordinator/protocol/advice.hpp"
#include "coordinator/provenance.hpp"
#include "coordinator/report/report_command.hpp"
#include "coordinator/resume/progress_file.hpp"
#include "coordinator/scales/diagnostics_text.hpp"
#include "coordinator/scales/rescale.hpp"
#include "coordinator/status/collect_command.hpp"
#include "coordinator/status/status_command.hpp"
#include "coordinator/status/status_keeper.hpp"
#include "coordinator/study/study_command.hpp"
#include "coordinator/submission/submit.hpp"
#include "coordinator/summary.hpp"
#include "coordinator/supervision/guards.hpp"
#include "coordinator/supervision/last_words.hpp"
#include "coordinator/supervision/supervisor.hpp"
#include "coordinator/version.hpp"
#include "jobs/atomic_file.hpp"
#include "jobs/recipe.hpp"
#include "jobs/result_writer.hpp"
#include "jobs/scale_policy.hpp"
#include "sharding/agreement.hpp"
#include "sharding/mpi_check.hpp"
#include "sharding/peer_error.hpp"
#include "sharding/vital_signs.hpp"

namespace fp8cal {
namespace {

/// MPI from construction to destruction.
class MpiSession {
 public:
  /// threads: ask that several may use MPI at a time.
  explicit MpiSession(bool threads) {
    int provided = MPI_THREAD_SINGLE;
    FP8CAL_MPI(MPI_Init_thread(nullptr, nullptr, threads ? MPI_THREAD_MULTIPLE : MPI_THREAD_SINGLE,
                               &provided));
  }
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;
  ~MpiSession() { MPI_Finalize(); }
};

/// Tells of a failure that only this rank knows of, with the rank, its place and what it did. Other
/// ranks may be waiting for this one: they are ended, and this does not return. Where several fail
/// at once, the lowest speaks first and ends the rest before they repeat it; so does one that does
/// not only fail because of another. status: which writes it down; may be null. Returns what the
/// process exits with.
int fail_alone(const Control& control, const std::exception& failure, StatusKeeper* status) {
  const auto* error = dynamic_cast<const Error*>(&failure);
  const bool no_memory = dynamic_cast<const std::bad_alloc*>(&failure) != nullptr;
  const int code = static_cast<int>(error != nullptr ? error->code() : ExitCode::failed);
  const VitalSigns& signs = vital_signs();
  std::string line = rank_text(control.rank(), signs.place.read()) + ": ";
  if (!signs.stage.read().empty()) line += position_of(signs) + ": ";
  line += no_memory ? "out of memory" : failure.what();
  if (control.size() == 1) {
    print_error(line);
    if (status != nullptr) status->finish(static_cast<ExitCode>(code), line);
    return code;
  }
  wait_for_turn(control.rank(), dynamic_cast<const PeerError*>(&failure) != nullptr);
  end_all_ranks(line, code);
}

/// The recipe that a result names first.
std::string first_recipe(const Result& result) {
  const auto named = result.job.find("scales.recipe");
  if (named != result.job.end()) {
    const auto* recipes = std::get_if<std::vector<std::string>>(&named->second);
    if (recipes != nullptr && !recipes->empty()) return recipes->front();
  }
  return result.scales.empty() ? "" : result.scales.begin()->first;
}

/// status: begins on rank 0 with runtime.status.
void run(const CommandLine& line, const Control& control, const Guards& guards,
         std::optional<StatusKeeper>& status) {
  Job job;
  run_agreed(control, [&] { job = read_job(line.subject, line.job); });
  const bool speaks = control.rank() == 0;
  begin_status(job, control, status);
  run_agreed(control, [&] {
    check_ranks(job, control);
    job = fit_to_model(std::move(job));
  });
  stand_guard(job, control, guards);
  run_agreed(control, [&] {
    if (!speaks || job.output.checkpoint.empty()) return;
    check_checkpoint_output(job);
    const ExportRequest request = checkpoint_request(job);
    prepare_export_folder(request.model, request.out, request.force);
  });
  JobProgress progress(job, control, status ? &*status : nullptr);
  if (speaks) {
    for (const std::string& warning : protocol_warnings(job)) spdlog::warn(warning);
    if (const std::string note = protocol_note(job); !note.empty()) spdlog::info(note);
  }
  const Outcome outcome = run_job(job, line.text, control, MPI_COMM_WORLD, progress.listener());
  if (status) status->tell_digest(outcome.digest);
  if (speaks) fmt::print("{}", summarize(job, outcome));
  std::fflush(stdout);
  if (!job.output.checkpoint.empty()) {
    export_checkpoint(checkpoint_request(job), outcome.result, outcome.digest,
                      job.runtime.threads.value_or(threads_per_rank(control)), control,
                      progress.listener());
    if (speaks) fmt::print("checkpoint {}\n", job.output.checkpoint);
  }
  if (speaks && !job.runtime.checkpoint.empty()) remove_progress(job.runtime.checkpoint);
  run_agreed(control, [&] {
    if (!outcome.failed_gates.empty()) throw Error(ExitCode::gate_failed, outcome.failed_gates);
  });
}

void plan(const CommandLine& line, const Control& control) {
  Job job;
  run_agreed(control, [&] { job = fit_to_model(read_job(line.subject, line.job)); });
  const Inputs inputs = read_inputs(job, control);
  run_agreed(control, [&] {
    // Ranks that are only thought of are thought of on this host.
    const Device device =
        planned_device(job, control, line.ranks.value_or(control.ranks_on_host()));
    open_checkpoint(job, inputs.config);
    const Plan plan = make_plan(inputs.config, inputs.workload(job), job.partition.mode,
                                line.ranks.value_or(control.size()), device);
    if (control.rank() == 0) fmt::print("{}", describe_plan(plan, inputs.config, device.budget));
  });
}

/// A job that is only measured need not say where its output would go; if it does, it goes nowhere.
std::vector<JobOption> without_result(std::vector<JobOption> options) {
  std::erase_if(options, [](const JobOption& one) { return one.key.starts_with("output."); });
  options.push_back({"output.checkpoint", "none"});
  options.push_back({"output.result", "none"});
  return options;
}

void bench(const CommandLine& line, const Control& control) {
  Job job;
  run_agreed(control, [&] {
    job = fit_to_model(read_job(line.subject, without_result(line.job)));
    check_ranks(job, control);
    if (!job.calibration.dataset.empty()) return;
    throw InputError("model.path", "nothing to compare with", "a model in BF16",
                     "a checkpoint that is FP8 already");
  });
  const bool speaks = control.rank() == 0;
  const auto progress =
      make_progress(speaks ? resolve_progress(job.runtime.progress) : ProgressKind::none);
  const BenchReport report = run_bench(job, control, MPI_COMM_WORLD, *progress);
  if (!speaks) return;
  fmt::print("{}", line.json ? bench_json(report) + "\n" : bench_text(report));
}

void scales(const CommandLine& line, const Control& control) {
  run_agreed(control, [&] {
    if (control.rank() != 0) return;  // the work of seconds
    parse_scale_policy(line.policy);
    std::vector<std::string> recipes = line.recipes;
    if (!line.kv.empty()) {
      if (recipes.empty()) {
        throw InputError("command line", "--kv without recipes to add it to", "--recipe NAME,...",
                         "none");
      }
      recipes = combine(recipes, line.kv);
    }
    for (const std::string& name : recipes) find_recipe(name);
    std::error_code missing;
    if (std::filesystem::equivalent(line.out, line.subject, missing)) {
      throw InputError(line.out, "--out", "another file than the result that is read", "the same");
    }
    check_writable(line.out);
    Result result = rescale(read_result(line.subject), line.policy, recipes,
                            threads_per_rank(control), line.subject);
    result.provenance["scales_command_line"] = line.text;
    result.provenance["scales_version"] = version_text();
    const std::string digest = write_result(result, line.out);
    fmt::print("{}\ncontent digest {}\nresult {}\n", describe_diagnostics(result), digest,
               line.out);
  });
}

void export_result(const CommandLine& line, const Control& control) {
  StoredResult stored;
  ExportRequest request = {
      .model = line.model, .out = line.out, .recipe = line.recipe, .force = line.force};
  run_agreed(control, [&] {
    request.format = parse_checkpoint_format(line.format);
    if (control.rank() != 0) return;
    stored = read_result(line.subject);
    if (request.recipe.empty()) request.recipe = first_recipe(stored.result);
  });
  request.recipe = control.broadcast(request.recipe);
  const auto progress =
      make_progress(control.rank() == 0 ? resolve_progress("auto") : ProgressKind::none);
  export_checkpoint(request, stored.result, stored.digest, threads_per_rank(control), control,
                    *progress);
  if (control.rank() == 0) fmt::print("recipe {}\ncheckpoint {}\n", request.recipe, line.out);
}

void synth(const CommandLine& line, const Control& control) {
  const auto progress =
      make_progress(control.rank() == 0 ? resolve_progress("auto") : ProgressKind::none);
  write_synthetic_checkpoint({line.config, line.seed, line.subject}, threads_per_rank(control),
                             control, *progress);
  if (control.rank() == 0) fmt::print("{}\n", line.subject);
}

/// environment: as it was before MPI added to it.
int run_on_ranks(const CommandLine& line, std::vector<std::string> environment) {
  std::optional<StopSignals> stop_signals;  // the last to go: a late signal must change nothing
  const MpiSession session(is_supervised(line));
  const Control control(MPI_COMM_WORLD);
  std::optional<StatusKeeper> status;
  std::optional<Monitor> monitor;  // also while a failure is told of
  try {
    if (line.command == "run") run(line, control, {stop_signals, monitor}, status);
    if (line.command == "plan") plan(line, control);
    if (line.command == "scales") scales(line, control);
    if (line.command == "export") export_result(line, control);
    if (line.command == "audit") {
      audit(line, control, MPI_COMM_WORLD, {stop_signals, monitor}, status);
    }
    if (line.command == "study") {
      study(line, control, MPI_COMM_WORLD, {stop_signals, monitor}, status);
    }
    if (line.command == "bench") bench(line, control);
    if (line.command == "profile") profile(line, control, MPI_COMM_WORLD);
    if (line.command == "synth") synth(line, control);
    if (line.command == "submit") {
      submit({line.subject, line.job, line.submit, line.tolerances, std::move(environment)},
             control);
    }
    if (status) status->finish(ExitCode::done, "");
    return static_cast<int>(ExitCode::done);
  } catch (const AgreedError& error) {
    if (control.rank() == 0) print_error(error.what());
    if (status) status->finish(error.code(), error.what());
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    return fail_alone(control, error, status ? &*status : nullptr);
  }
}

}  // namespace

int run_command(const CommandLine& line) {
  spdlog::set_default_logger(spdlog::stderr_logger_mt("fp8cal"));
  spdlog::set_pattern("%Y-%m-%d %H:%M:%S %l: %v");
  if (line.command == "help") {
    fmt::print("{}", help_text(line.subject));
    return static_cast<int>(ExitCode::done);
  }
  if (line.command == "version") {
    fmt::print("fp8cal {}\n", version_text());
    return static_cast<int>(ExitCode::done);
  }
  if (line.command == "status") return show_status(line);
  if (line.command == "collect") return collect_sweep(line);
  if (line.command == "report") return report_files(line);
  if (line.command == "show") return show_file(line);
  if (is_supervised(line)) supervise();
  vital_signs().place.write(host_name());
  return run_on_ranks(line, current_environment());
}

int report_usage_error(const Error& error) {
  const MpiSession session(false);
  if (Control(MPI_COMM_WORLD).rank() == 0) print_error(error.what());
  return static_cast<int>(error.code());
}

}  // namespace fp8cal
