#include "coordinator/computation.hpp"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "coordinator/collect.hpp"
#include "coordinator/result_builder.hpp"
#include "coordinator/scales/scale_policy.hpp"
#include "jobs/error.hpp"
#include "jobs/recipe.hpp"
#include "sharding/agreement.hpp"
#include "sharding/vital_signs.hpp"
#include "worker/stored_scales.hpp"

namespace fp8cal {
namespace {

/// Throws where a score is infinite or NaN. scores: [windows, predictions], or empty.
void expect_finite(const std::string& variant, const char* what, const std::vector<float>& scores,
                   const Ranges& windows) {
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (std::isfinite(scores[i])) continue;
    const std::size_t predictions = scores.size() / count_of(windows);
    throw Error(ExitCode::failed,
                fmt::format("{}: evaluation window {}: token {}: expected a finite {}, found {}",
                            variant, part_of(windows, {i / predictions, 1}).front().first,
                            i % predictions, what, std::fabs(scores[i])));
  }
}

void check_scores(const Computation& run) {
  const Ranges windows = run.keeper.left().own_windows();
  run_agreed(run.control, [&] {
    for (const std::string& variant : run.keeper.left().variants()) {
      const VariantScores& scores = run.worker.scores(variant);
      expect_finite(variant, "log-likelihood", scores.nll, windows);
      expect_finite(variant, "KL divergence", scores.kl, windows);
    }
  });
}

void load(const Computation& run, std::size_t chunk) {
  run_agreed(run.control, [&] { run.worker.load(chunk); });
  run.keeper.check_weights(run.worker);
}

/// What earlier runs observed of the layers that are loaded.
std::vector<LayerStatistics> observed_before(const Computation& run) {
  const std::vector<LayerStatistics>& all = run.keeper.before().layers;
  const Range layers = run.worker.loaded_layers();
  if (layers.end() > all.size()) return {};
  const auto first = all.begin() + static_cast<std::ptrdiff_t>(layers.first);
  return {first, first + static_cast<std::ptrdiff_t>(layers.count)};
}

/// What is left of `ranges` to go through the layers that are loaded.
Ranges left_here(const Computation& run, const Ranges& ranges) {
  return run.worker.loaded_layers().first < run.keeper.before().layers_done ? Ranges() : ranges;
}

std::vector<LayerStatistics> calibrate(const Computation& run) {
  run.keeper.begin_calibration(run.worker);
  const std::vector<Units> passes =
      passes_over(left_here(run, run.keeper.left().calibration()), run.plan, run.rank.share);
  std::vector<LayerStatistics> statistics =
      run.worker.calibrate(passes.front(), observed_before(run));
  run_agreed(run.control, [&] {
    for (const LayerStatistics& one : statistics) check_finite(one);
  });
  return statistics;
}

/// A recipe, and its scales for each layer of a chunk.
using ScaledRecipe = std::pair<Recipe, std::vector<LayerScales>>;

/// Evaluates all variants, some windows after others.
void evaluate(const Computation& run, const std::vector<LayerStatistics>& statistics,
              const std::vector<ScaledRecipe>& recipes) {
  run.keeper.begin_evaluation(run.worker, statistics);
  const std::vector<Units> passes =
      passes_over(left_here(run, run.keeper.left().windows()), run.plan, run.rank.share,
                  run.keeper.units_a_pass());
  if (passes.size() > 1) {
    const std::size_t windows = count_of(run.keeper.left().windows());
    const Range layers = run.worker.loaded_layers();
    run.progress.join(fmt::format("evaluate layers {}-{}", layers.first, layers.end() - 1),
                      "windows", windows * run.keeper.left().variants().size(),
                      run.plan.work.evaluation_length);
  }
  for (const Units& pass : passes) {
    if (!run.config.stored_recipe) run.worker.evaluate_bf16(pass);
    for (const auto& [recipe, scales] : recipes) run.worker.evaluate(recipe, scales, pass);
    run.keeper.pass_done(pass);
  }
  if (passes.size() > 1) run.progress.part();
  check_scores(run);
  run.keeper.chunk_done();
}

/// Calibrates, and evaluates in BF16 and in every recipe. Returns this rank's layers.
std::vector<LayerStatistics> calibrate_and_evaluate(const Computation& run) {
  const ScalePolicy policy = parse_scale_policy(run.job.scales.policy);
  std::vector<LayerStatistics> layers;
  for (std::size_t chunk = 0; chunk < run.worker.chunks(); ++chunk) {
    load(run, chunk);
    std::vector<LayerStatistics> statistics = calibrate(run);
    std::vector<ScaledRecipe> recipes;
    for (const std::string& name : run.job.scales.recipes) {
      const Recipe recipe = find_recipe(name);
      recipes.emplace_back(
          recipe, derive_scales(recipe, policy, run.config.num_key_value_heads, statistics));
    }
    evaluate(run, statistics, recipes);
    std::move(statistics.begin(), statistics.end(), std::back_inserter(layers));
  }
  return layers;
}

/// Evaluates a checkpoint that is FP8 already, by its own scales: one a layer of the model.
void evaluate_stored(const Computation& run, const std::vector<LayerScales>& scales) {
  for (std::size_t chunk = 0; chunk < run.worker.chunks(); ++chunk) {
    load(run, chunk);
    const Range layers = run.worker.loaded_layers();
    const auto first = scales.begin() + static_cast<std::ptrdiff_t>(layers.first);
    evaluate(
        run, {},
        {{*run.config.stored_recipe, {first, first + static_cast<std::ptrdiff_t>(layers.count)}}});
  }
}

}  // namespace

std::vector<std::string> evaluated_variants(const Job& job, const ModelConfig& config) {
  std::vector<std::string> all = job.scales.recipes;
  if (!config.stored_recipe) all.insert(all.begin(), "bf16");
  return all;
}

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
    tell_stage("collect the statistics");
    run.timeline.begin("collect the statistics");
    collect_layers(
        run.worker, layers, run.rank, run.job, run.config, run.control,
        [](const std::string& recipe) { return recipe; }, result);
    run.timeline.end();
  }
  tell_stage("collect the scores");
  run.timeline.begin("collect the scores");
  collect_perplexity(run.worker, run.keeper.left().variants(), run.keeper.left().own_windows(),
                     run.keeper.before(), run.control, result);
  run.timeline.end();
  run.keeper.close();
}

}  // namespace fp8cal
