#include "coordinator/pipeline.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <optional>

#include "coordinator/bootstrap.hpp"
#include "coordinator/collect.hpp"
#include "coordinator/preparation.hpp"
#include "coordinator/provenance.hpp"
#include "coordinator/quality_gates.hpp"
#include "coordinator/result_builder.hpp"
#include "coordinator/scales/scale_policy.hpp"
#include "jobs/atomic_file.hpp"
#include "jobs/error.hpp"
#include "jobs/recipe.hpp"
#include "jobs/result_writer.hpp"
#include "sharding/agreement.hpp"
#include "worker/shard_worker.hpp"
#include "worker/stored_scales.hpp"

namespace fp8cal {
namespace {

/// A job on its way through the chunks of a rank.
struct Computation {
  ShardWorker& worker;
  const Job& job;
  const ModelConfig& config;
  const RankPlan& rank;
  const Control& control;

  /// What perplexity is measured for.
  std::vector<std::string> variants() const {
    std::vector<std::string> all = job.scales.recipes;
    if (!config.stored_recipe) all.insert(all.begin(), "bf16");
    return all;
  }
};

/// Throws where a score of this rank's windows is infinite or NaN. scores: [windows, predictions],
/// or empty.
void expect_finite(const std::string& variant, const char* what, const std::vector<float>& scores,
                   const RankPlan& rank) {
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (std::isfinite(scores[i])) continue;
    const std::size_t predictions = scores.size() / rank.evaluation.count;
    throw Error(ExitCode::failed,
                fmt::format("{}: evaluation window {}: token {}: expected a finite {}, found {}",
                            variant, rank.evaluation.first + i / predictions, i % predictions, what,
                            std::fabs(scores[i])));
  }
}

void check_scores(const Computation& run) {
  run_agreed(run.control, [&] {
    for (const std::string& variant : run.variants()) {
      const VariantScores& scores = run.worker.scores(variant);
      expect_finite(variant, "log-likelihood", scores.nll, run.rank);
      expect_finite(variant, "KL divergence", scores.kl, run.rank);
    }
  });
}

/// Calibrates, and evaluates in BF16 and in every recipe. Returns this rank's layers.
std::vector<LayerStatistics> calibrate_and_evaluate(const Computation& run) {
  const ScalePolicy policy = parse_scale_policy(run.job.scales.policy);
  std::vector<LayerStatistics> layers;
  for (std::size_t chunk = 0; chunk < run.worker.chunks(); ++chunk) {
    run_agreed(run.control, [&] { run.worker.load(chunk); });
    std::vector<LayerStatistics> statistics = run.worker.calibrate();
    run_agreed(run.control, [&] {
      for (const LayerStatistics& one : statistics) check_finite(one);
    });
    run.worker.evaluate_bf16();
    for (const std::string& name : run.job.scales.recipes) {
      const Recipe recipe = find_recipe(name);
      run.worker.evaluate(
          recipe, derive_scales(recipe, policy, run.config.num_key_value_heads, statistics));
    }
    check_scores(run);
    std::move(statistics.begin(), statistics.end(), std::back_inserter(layers));
  }
  return layers;
}

/// Evaluates a checkpoint that is FP8 already, by its own scales: one a layer of the model.
void evaluate_stored(const Computation& run, const std::vector<LayerScales>& scales) {
  for (std::size_t chunk = 0; chunk < run.worker.chunks(); ++chunk) {
    run_agreed(run.control, [&] { run.worker.load(chunk); });
    const Range layers = run.worker.loaded_layers();
    const auto first = scales.begin() + static_cast<std::ptrdiff_t>(layers.first);
    run.worker.evaluate(*run.config.stored_recipe,
                        {first, first + static_cast<std::ptrdiff_t>(layers.count)});
    check_scores(run);
  }
}

/// How far each recipe's perplexity is from that of BF16.
void add_differences(const Job& job, Result& result) {
  if (!result.perplexity.contains("bf16")) return;
  for (const std::string& recipe : job.scales.recipes) {
    const auto difference = perplexity_difference(
        result.perplexity.at("bf16"), result.perplexity.at(recipe), job.calibration.seed);
    if (difference) result.differences[recipe] = *difference;
  }
}

/// Everything that the ranks compute; complete on rank 0.
void compute(const Computation& run, const Checkpoint& checkpoint, Result& result) {
  if (run.config.stored_recipe) {
    std::vector<LayerScales> scales;
    run_agreed(run.control, [&] { scales = stored_scales(checkpoint, run.config); });
    evaluate_stored(run, scales);
    for (std::size_t layer = 0; layer < scales.size(); ++layer) {
      add_scales(result, run.config.stored_recipe->name, layer, scales[layer]);
    }
  } else {
    const std::vector<LayerStatistics> layers = calibrate_and_evaluate(run);
    collect_layers(run.worker, layers, run.rank, run.job, run.config, run.control, result);
  }
  collect_perplexity(run.worker, run.variants(), run.control, result);
}

}  // namespace

std::vector<std::string> protocol_warnings(const Job& job) {
  std::vector<std::string> warnings;
  if (job.calibration.dataset.empty()) {
    warnings.push_back(fmt::format(
        "the checkpoint is {} already and is evaluated as it is: calibration.*, scales.* and "
        "output.checkpoint are not used",
        job.scales.recipes.front()));
    return warnings;
  }
  const std::size_t samples = job.calibration.samples;
  if (samples < 32) {
    warnings.push_back(fmt::format(
        "calibration.samples = {}: fewer than 32 sequences give unstable scales", samples));
  } else if (samples > 512) {
    warnings.push_back(
        fmt::format("calibration.samples = {}: more than 512 sequences gain nothing", samples));
  }
  return warnings;
}

Outcome run_job(const Job& job, const std::string& command_line, const Control& control,
                MPI_Comm world, ProgressListener& progress) {
  const auto begin = std::chrono::steady_clock::now();
  RunFacts facts{.command_line = command_line,
                 .started = utc_now(),
                 .places = {},
                 .warnings = protocol_warnings(job),
                 .gemm_check = {},
                 .peak_memory = 0};
  run_agreed(control, [&] {
    if (control.rank() == 0) check_writable(job.output.result);
  });
  Preparation ready(job, control, world);
  facts.gemm_check = ready.gemm_check;
  facts.places = control.gather(where_this_rank_runs(ready.backend->device()));

  std::optional<ShardWorker> worker;
  run_agreed(control, [&] { worker.emplace(ready.context(*ready.backend, progress)); });

  Outcome outcome;
  outcome.plan = ready.plan;
  Result& result = outcome.result;
  result.calibration = ready.inputs.calibration;
  result.evaluation = ready.inputs.evaluation;
  result.sample_ids = ready.inputs.sample_ids;
  compute({*worker, job, ready.inputs.config, ready.rank_plan(), control}, *ready.checkpoint,
          result);
  const std::string weights_digest = collect_weights_digest(*worker, control);
  facts.peak_memory = static_cast<std::uint64_t>(
      control.max(static_cast<std::int64_t>(ready.backend->peak_memory_bytes())));
  outcome.peak_memory = facts.peak_memory;
  run_agreed(control, [&] {
    if (control.rank() != 0) return;
    add_differences(job, result);
    outcome.failed_gates = failed_gates(job, result);
    if (!outcome.failed_gates.empty()) facts.warnings.push_back(outcome.failed_gates);
    result.job =
        describe_job(job, ready.inputs, *ready.backend, ready.checkpoint->format(), weights_digest);
    result.provenance = make_provenance(job, ready.plan, facts);
    outcome.digest = write_result(result, job.output.result);
  });
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return outcome;
}

}  // namespace fp8cal
