#include "coordinator/pipeline.hpp"

#include <fmt/format.h>

#include <chrono>
#include <optional>

#include "coordinator/bootstrap.hpp"
#include "coordinator/both_listeners.hpp"
#include "coordinator/collect.hpp"
#include "coordinator/computation.hpp"
#include "coordinator/preparation.hpp"
#include "coordinator/protocol/advice.hpp"
#include "coordinator/provenance.hpp"
#include "coordinator/quality_gates.hpp"
#include "coordinator/result_builder.hpp"
#include "coordinator/resume/earlier_progress.hpp"
#include "coordinator/resume/progress_keeper.hpp"
#include "coordinator/supervision/stop_signals.hpp"
#include "coordinator/timeline.hpp"
#include "jobs/atomic_file.hpp"
#include "jobs/error.hpp"
#include "jobs/result_writer.hpp"
#include "sharding/agreement.hpp"
#include "sharding/vital_signs.hpp"
#include "worker/shard_worker.hpp"

namespace fp8cal {

void add_differences(const Job& job, Result& result) {
  if (!result.perplexity.contains("bf16")) return;
  for (const std::string& recipe : job.scales.recipes) {
    const auto difference = perplexity_difference(
        result.perplexity.at("bf16"), result.perplexity.at(recipe), job.calibration.seed);
    if (difference) result.differences[recipe] = *difference;
  }
}

Outcome compute_job(const Job& job, Inputs inputs, const std::string& command_line,
                    const Control& control, MPI_Comm world, ProgressListener& progress) {
  const auto begin = std::chrono::steady_clock::now();
  Timeline timeline(timeline_entries(control.size()));
  timeline.begin("prepare");
  RunFacts facts;
  facts.command_line = command_line;
  facts.started = utc_now();
  facts.warnings = protocol_warnings(job);
  Preparation ready(job, std::move(inputs), control, world);
  facts.gemm_check = ready.gemm_check;
  timeline.end();
  facts.places = control.gather(where_this_rank_runs(ready.backend->device()));

  Attributes described = describe_job(job, ready.inputs, *ready.backend, *ready.checkpoint);
  const std::vector<std::string> variants = evaluated_variants(job, ready.inputs.config);
  EarlierProgress earlier = read_earlier_progress(job, described, variants, ready, control);
  facts.earlier_runs = earlier.done.runs;
  const WorkLeft left(earlier.done, variants, ready);
  ProgressKeeper keeper(job, described, describe_run(facts, ready.plan), earlier.done, left, ready,
                        control, world, stop_requested);
  BothListeners shown_and_kept(progress, timeline);
  JoiningListener joining(shown_and_kept);
  std::optional<ShardWorker> worker;
  timeline.begin("load embeddings and head");
  run_agreed(control, [&] {
    ShardContext context = ready.context(*ready.backend, joining);
    context.first_layer = earlier.done.layers_done;
    context.after_unit = [&keeper] { keeper.unit_done(); };
    worker.emplace(context);
    for (auto& [pass, hidden] : earlier.hidden) worker->start_from(pass, std::move(hidden));
  });
  timeline.end();

  Outcome outcome;
  outcome.plan = ready.plan;
  Result& result = outcome.result;
  result.calibration = ready.inputs.calibration;
  result.evaluation = ready.inputs.evaluation;
  result.sample_ids = ready.inputs.sample_ids;
  compute({*worker, job, ready.inputs.config, ready.plan, ready.rank_plan(), control, keeper,
           joining, timeline},
          *ready.checkpoint, result);
  described["weights_digest"] = collect_weights_digest(*worker, control);
  facts.peak_memory = static_cast<std::uint64_t>(
      control.max(static_cast<std::int64_t>(ready.backend->peak_memory_bytes())));
  outcome.peak_memory = facts.peak_memory;
  facts.timeline = gather_timeline(timeline, control);
  run_agreed(control, [&] {
    if (control.rank() != 0) return;
    add_differences(job, result);
    outcome.failed_gates = failed_gates(job, result);
    if (!outcome.failed_gates.empty()) facts.warnings.push_back(outcome.failed_gates);
    facts.progress_saves = keeper.saves();
    facts.progress_seconds = keeper.saving_time().count();
    result.job = std::move(described);
    result.provenance = make_provenance(job, ready.plan, facts);
  });
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return outcome;
}

Outcome run_job(const Job& job, const std::string& command_line, const Control& control,
                MPI_Comm world, ProgressListener& progress) {
  run_agreed(control, [&] {
    if (control.rank() == 0) check_writable(job.output.result);
  });
  Outcome outcome =
      compute_job(job, read_inputs(job, control), command_line, control, world, progress);
  tell_stage("write");
  run_agreed(control, [&] {
    if (control.rank() == 0) outcome.digest = write_result(outcome.result, job.output.result);
  });
  return outcome;
}

}  // namespace fp8cal
