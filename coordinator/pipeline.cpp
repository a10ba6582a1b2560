#include "coordinator/pipeline.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <optional>

#include "coordinator/preparation.hpp"
#include "coordinator/provenance.hpp"
#include "coordinator/result_builder.hpp"
#include "coordinator/scale_policy.hpp"
#include "jobs/atomic_file.hpp"
#include "jobs/error.hpp"
#include "jobs/result_writer.hpp"
#include "sharding/agreement.hpp"
#include "worker/shard_worker.hpp"

namespace fp8cal {
namespace {

/// What perplexity is measured for.
std::vector<std::string> variants_of(const Job& job) {
  std::vector<std::string> variants = {"bf16"};
  variants.insert(variants.end(), job.scales.recipes.begin(), job.scales.recipes.end());
  return variants;
}

/// Throws where a log-likelihood of this rank's windows is infinite or NaN. nll: [windows,
/// predictions], or empty.
void check_finite(const std::string& variant, const std::vector<float>& nll, const RankPlan& rank) {
  for (std::size_t i = 0; i < nll.size(); ++i) {
    if (std::isfinite(nll[i])) continue;
    const std::size_t predictions = nll.size() / rank.evaluation.count;
    throw Error(ExitCode::failed,
                fmt::format("{}: evaluation window {}: token {}: expected a finite log-likelihood, "
                            "found {}",
                            variant, rank.evaluation.first + i / predictions, i % predictions,
                            std::fabs(nll[i])));
  }
}

/// The job's work on this rank, chunk by chunk. Returns this rank's layers.
std::vector<LayerStatistics> compute(ShardWorker& worker, const Job& job, const RankPlan& rank,
                                     const Control& control) {
  const ScalePolicy policy = parse_scale_policy(job.scales.policy);
  std::vector<LayerStatistics> layers;
  for (std::size_t chunk = 0; chunk < worker.chunks(); ++chunk) {
    run_agreed(control, [&] { worker.load(chunk); });
    std::vector<LayerStatistics> statistics = worker.calibrate();
    run_agreed(control, [&] {
      for (const LayerStatistics& one : statistics) check_finite(one);
    });
    worker.evaluate_bf16();
    for (const std::string& name : job.scales.recipes) {
      worker.evaluate(name, derive_scales(find_recipe(name), policy, statistics));
    }
    run_agreed(control, [&] {
      for (const std::string& variant : variants_of(job)) {
        check_finite(variant, worker.nll(variant), rank);
      }
    });
    std::move(statistics.begin(), statistics.end(), std::back_inserter(layers));
  }
  return layers;
}

/// On rank 0: the statistics and scales of all layers. One rank of each stage has them.
void collect_layers(const std::vector<LayerStatistics>& own, const RankPlan& rank, const Job& job,
                    const Control& control, Result& result) {
  const ScalePolicy policy = parse_scale_policy(job.scales.policy);
  std::string bytes;
  if (rank.share == 0 && rank.slice == 0) {
    for (const LayerStatistics& one : own) bytes += pack_statistics(one);
  }
  for (const std::string& from : control.gather(bytes)) {
    for (Unpacker layers(from); !layers.done();) {
      const LayerStatistics one = unpack_statistics(layers);
      add_statistics(result, one);
      for (const std::string& name : job.scales.recipes) {
        add_scales(result, name, one.layer, derive_scales(find_recipe(name), policy, one));
      }
    }
  }
}

/// On rank 0: the NLLs of all windows. Ranks follow one another in the order of their windows.
void collect_perplexity(ShardWorker& worker, const Job& job, const Control& control,
                        Result& result) {
  for (const std::string& variant : variants_of(job)) {
    const std::vector<float>& own = worker.nll(variant);
    Perplexity perplexity;
    perplexity.windows = result.evaluation.windows();
    perplexity.predictions = result.evaluation.sequence_length - 1;
    for (const std::string& from :
         control.gather({reinterpret_cast<const char*>(own.data()), own.size() * sizeof(float)})) {
      const std::size_t before = perplexity.nll.size();
      perplexity.nll.resize(before + from.size() / sizeof(float));
      std::memcpy(perplexity.nll.data() + before, from.data(), from.size());
    }
    result.perplexity[variant] = std::move(perplexity);
  }
}

/// On rank 0: the digest of all weights, from the leaves that every rank hashed.
std::string collect_weights_digest(const ShardWorker& worker, const Control& control) {
  WeightLeaves leaves;
  for (const std::string& from : control.gather(pack_leaves(worker.leaves()))) {
    unpack_leaves(from, leaves);
  }
  return control.rank() == 0 ? weights_digest(leaves) : "";
}

}  // namespace

std::vector<std::string> protocol_warnings(const Job& job) {
  std::vector<std::string> warnings;
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
  const std::vector<LayerStatistics> layers = compute(*worker, job, ready.rank_plan(), control);

  Outcome outcome;
  outcome.plan = ready.plan;
  Result& result = outcome.result;
  result.calibration = ready.inputs.calibration;
  result.evaluation = ready.inputs.evaluation;
  result.sample_ids = ready.inputs.sample_ids;
  collect_layers(layers, ready.rank_plan(), job, control, result);
  collect_perplexity(*worker, job, control, result);
  const std::string weights_digest = collect_weights_digest(*worker, control);
  facts.peak_memory = static_cast<std::uint64_t>(
      control.max(static_cast<std::int64_t>(ready.backend->peak_memory_bytes())));
  outcome.peak_memory = facts.peak_memory;
  run_agreed(control, [&] {
    if (control.rank() != 0) return;
    result.job =
        describe_job(job, ready.inputs, *ready.backend, ready.checkpoint->format(), weights_digest);
    result.provenance = make_provenance(job, ready.plan, facts);
    outcome.digest = write_result(result, job.output.result);
  });
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return outcome;
}

}  // namespace fp8cal
