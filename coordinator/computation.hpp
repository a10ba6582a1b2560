#pragma once

#include <string>
#include <vector>

#include "coordinator/joining_listener.hpp"
#include "coordinator/resume/progress_keeper.hpp"
#include "coordinator/timeline.hpp"
#include "jobs/checkpoint.hpp"
#include "jobs/job.hpp"
#include "jobs/model_config.hpp"
#include "jobs/result.hpp"
#include "sharding/control.hpp"
#include "sharding/plan.hpp"
#include "worker/shard_worker.hpp"

namespace fp8cal {

/// A job on its way through the chunks of a rank.
struct Computation {
  ShardWorker& worker;
  const Job& job;
  const ModelConfig& config;
  const Plan& plan;
  const RankPlan& rank;
  const Control& control;
  ProgressKeeper& keeper;
  JoiningListener& progress;  ///< the worker's
  Timeline& timeline;         ///< which hears of `progress`, too
};

/// What a job measures perplexity for: "bf16", where the model is, and recipes.
std::vector<std::string> evaluated_variants(const Job& job, const ModelConfig& config);

/// Adds to `result`, whose tokens are there, everything that the ranks compute; complete on rank 0.
/// Throws AgreedError where all ranks know of the failure, or stop for a signal. Collective.
void compute(const Computation& run, const Checkpoint& checkpoint, Result& result);

}  // namespace fp8cal
