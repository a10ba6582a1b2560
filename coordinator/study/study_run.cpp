#include "coordinator/study/study_run.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <set>

#include "coordinator/both_listeners.hpp"
#include "coordinator/collect.hpp"
#include "coordinator/computation.hpp"
#include "coordinator/inputs.hpp"
#include "coordinator/pipeline.hpp"
#include "coordinator/preparation.hpp"
#include "coordinator/protocol/advice.hpp"
#include "coordinator/provenance.hpp"
#include "coordinator/result_builder.hpp"
#include "coordinator/resume/work_left.hpp"
#include "coordinator/scales/scale_policy.hpp"
#include "coordinator/study/study_results.hpp"
#include "coordinator/study/study_statistics.hpp"
#include "coordinator/study/study_variants.hpp"
#include "coordinator/supervision/stop_signals.hpp"
#include "coordinator/timeline.hpp"
#include "jobs/error.hpp"
#include "jobs/packing.hpp"
#include "jobs/recipe.hpp"
#include "jobs/result_writer.hpp"
#include "sharding/agreement.hpp"
#include "sharding/vital_signs.hpp"
#include "worker/shard_worker.hpp"

namespace fp8cal {
namespace {

constexpr const char* kBf16 = "bf16";

/// The inputs of all calibrations, as those of one job whose sequences lie one after another.
Inputs joined(const std::vector<Inputs>& all) {
  Inputs joined = all.front();
  for (std::size_t i = 1; i < all.size(); ++i) {
    const auto& tokens = all[i].calibration.tokens;
    joined.calibration.tokens.insert(joined.calibration.tokens.end(), tokens.begin(), tokens.end());
  }
  return joined;
}

/// [calibrations]
std::vector<Inputs> read_study_inputs(const Study& study, const Control& control) {
  std::vector<Job> jobs;
  for (const StudyCalibration& one : study.calibrations) jobs.push_back(one.job);
  return read_inputs(jobs, control);
}

/// What is there, as rank 0 sees it; what it was made by, there alone.
StudyResults agreed_results(const Study& study, const std::vector<Inputs>& inputs,
                            const Control& control) {
  tell_stage("look for results");
  StudyResults results;
  std::string missing;
  run_agreed(control, [&] {
    if (control.rank() != 0) return;
    std::filesystem::create_directories(study.results);
    results = look_for_results(study, inputs);
    pack(missing, results.missing);
  });
  missing = control.broadcast(missing);
  Unpacker(missing).take(results.missing);
  return results;
}

/// A study on its way. Lives as long as the preparation that it borrows.
class StudyRun {
 public:
  /// results: what is there; inputs: [calibrations].
  StudyRun(const Study& study, const StudyResults& results, const std::vector<Inputs>& inputs,
           const std::string& command_line, Preparation& ready, const Control& control,
           ProgressListener& progress);

  /// Throws as run_study does.
  void compute();

 private:
  Attributes described(std::size_t cell) const;
  void evaluate_chunk(bool is_last);
  void evaluate(std::size_t cell, const std::string& recipe);
  void finish(std::size_t cell);
  void take_scores(const std::string& variant);
  void stop_if_asked(std::size_t finished) const;

  const Study& study_;
  const StudyResults& results_;
  const std::vector<Inputs>& inputs_;
  Preparation& ready_;
  const Control& control_;
  Timeline timeline_;
  BothListeners progress_;
  RunFacts facts_;
  std::string weights_digest_;  // on rank 0, when all weights are loaded
  std::optional<StudyStatistics> statistics_;
  std::optional<StudyVariants> variants_;
  std::optional<WorkLeft> left_;
  std::optional<ShardWorker> worker_;
  std::set<std::string> evaluated_;           // variants, in this chunk
  std::map<std::string, Perplexity> scores_;  // of variants, on rank 0
};

StudyRun::StudyRun(const Study& study, const StudyResults& results,
                   const std::vector<Inputs>& inputs, const std::string& command_line,
                   Preparation& ready, const Control& control, ProgressListener& progress)
    : study_(study),
      results_(results),
      inputs_(inputs),
      ready_(ready),
      control_(control),
      timeline_(timeline_entries(control.size())),
      progress_(progress, timeline_) {
  facts_.command_line = command_line;
  facts_.started = utc_now();
  facts_.gemm_check = ready.gemm_check;
  facts_.places = control.gather(where_this_rank_runs(ready.backend->device()));
}

/// The cell's /job, when all weights are loaded.
Attributes StudyRun::described(std::size_t cell) const {
  const StudyCell& one = study_.cells[cell];
  Attributes all =
      describe_job(one.job, inputs_of(one, inputs_), *ready_.backend, *ready_.checkpoint);
  all["weights_digest"] = weights_digest_;
  return all;
}

void StudyRun::compute() {
  statistics_.emplace(study_, results_.missing, ready_);
  variants_.emplace(study_, results_.missing);
  left_.emplace(SavedProgress{}, std::vector<std::string>{kBf16}, ready_);
  run_agreed(control_, [&] { worker_.emplace(ready_.context(*ready_.backend, progress_)); });
  for (std::size_t chunk = 0; chunk < worker_->chunks(); ++chunk) {
    run_agreed(control_, [&] { worker_->load(chunk); });
    statistics_->add_chunk(*worker_, control_);
    const bool is_last = chunk + 1 == worker_->chunks();
    // Where weights are streamed the scales of later layers are not known yet.
    if (!ready_.plan.streams()) {
      variants_->join_equal(study_, *statistics_, ready_.inputs.config.num_key_value_heads,
                            control_);
    }
    if (control_.rank() == 0 && chunk == 0) {
      spdlog::info("{} of {} results to compute, by {} calibrations and {} evaluations",
                   results_.missing.size(), study_.cells.size(), statistics_->calibrations(),
                   variants_->count() + 1);
    }
    if (is_last) {
      weights_digest_ = collect_weights_digest(*worker_, control_);
      run_agreed(control_, [&] {
        if (control_.rank() != 0) return;
        expect_made_alike(results_.made_by, made_by(described(results_.missing.front())),
                          study_.results.string());
      });
    }
    evaluate_chunk(is_last);
  }
}

void StudyRun::evaluate_chunk(bool is_last) {
  evaluated_.clear();
  worker_->evaluate_bf16(
      passes_over(left_->windows(), ready_.plan, ready_.rank_plan().share).front());
  if (is_last) take_scores(kBf16);
  std::size_t finished = 0;
  for (const std::size_t cell : results_.missing) {
    for (const std::string& recipe : study_.cells[cell].job.scales.recipes) evaluate(cell, recipe);
    if (is_last) {
      finish(cell);
      ++finished;
    }
    stop_if_asked(finished);
  }
}

/// Evaluates a recipe as the cell scales it, where none before it has the same scales.
void StudyRun::evaluate(std::size_t cell, const std::string& recipe) {
  const std::string& variant = variants_->of(cell, recipe);
  if (!evaluated_.insert(variant).second) return;
  const StudyCell& one = study_.cells[cell];
  Recipe named = find_recipe(recipe);
  const Range loaded = worker_->loaded_layers();
  const std::span<const LayerStatistics> layers =
      std::span(statistics_->of(one)).last(loaded.count);
  const std::vector<LayerScales> scales =
      derive_scales(named, parse_scale_policy(one.job.scales.policy),
                    ready_.inputs.config.num_key_value_heads, layers);
  named.name = variant;
  worker_->evaluate(named, scales,
                    passes_over(left_->windows(), ready_.plan, ready_.rank_plan().share).front());
  if (loaded.end() == ready_.rank_plan().layers.end()) take_scores(variant);
}

void StudyRun::take_scores(const std::string& variant) {
  Result all;
  all.evaluation = ready_.inputs.evaluation;
  collect_perplexity(*worker_, {variant}, left_->own_windows(), SavedProgress{}, control_, all);
  scores_[variant] = std::move(all.perplexity.at(variant));
}

/// Writes the cell's result.
void StudyRun::finish(std::size_t cell) {
  tell_stage("write");
  const StudyCell& one = study_.cells[cell];
  Result result;
  const auto variant_of = [&](const std::string& recipe) { return variants_->of(cell, recipe); };
  collect_layers(*worker_, statistics_->of(one), ready_.rank_plan(), one.job, ready_.inputs.config,
                 control_, variant_of, result);
  facts_.timeline = gather_timeline(timeline_, control_);
  facts_.peak_memory = static_cast<std::uint64_t>(
      control_.max(static_cast<std::int64_t>(ready_.backend->peak_memory_bytes())));
  run_agreed(control_, [&] {
    if (control_.rank() != 0) return;
    Inputs inputs = inputs_of(one, inputs_);
    result.calibration = std::move(inputs.calibration);
    result.evaluation = std::move(inputs.evaluation);
    result.sample_ids = std::move(inputs.sample_ids);
    result.perplexity[kBf16] = scores_.at(kBf16);
    for (const std::string& recipe : one.job.scales.recipes) {
      result.perplexity[recipe] = scores_.at(variants_->of(cell, recipe));
    }
    add_differences(one.job, result);
    result.job = described(cell);
    facts_.warnings = protocol_warnings(one.job);
    result.provenance = make_provenance(one.job, ready_.plan, facts_);
    write_result(result, one.job.output.result);
  });
}

void StudyRun::stop_if_asked(std::size_t finished) const {
  const auto signal = static_cast<int>(control_.max(stop_requested()));
  if (signal == 0) return;
  throw AgreedError(
      ExitCode::progress_saved,
      fmt::format("stopped by SIG{}, run the same study again to go on: {} of {} results in {}",
                  ::sigabbrev_np(signal), study_.cells.size() - results_.missing.size() + finished,
                  study_.cells.size(), study_.results.string()));
}

}  // namespace

void run_study(const Study& study, const std::string& command_line, const Control& control,
               MPI_Comm world, ProgressListener& progress) {
  const std::vector<Inputs> inputs = read_study_inputs(study, control);
  const StudyResults results = agreed_results(study, inputs, control);
  if (results.missing.empty()) return;
  Preparation ready(study.calibrations.front().job, joined(inputs), control, world);
  StudyRun(study, results, inputs, command_line, ready, control, progress).compute();
}

void expect_results(const Study& study, const Control& control) {
  const std::vector<Inputs> inputs = read_study_inputs(study, control);
  const std::vector<std::size_t> missing = agreed_results(study, inputs, control).missing;
  if (missing.empty()) return;
  throw AgreedError(
      ExitCode::failed,
      fmt::format("{}: {} of {} results are missing, first {}", study.file.string(), missing.size(),
                  study.cells.size(), study.cells[missing.front()].job.output.result));
}

}  // namespace fp8cal
