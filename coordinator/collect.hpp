#pragma once

#include <functional>
#include <string>
#include <vector>

#include "coordinator/resume/saved_progress.hpp"
#include "jobs/job.hpp"
#include "jobs/model_config.hpp"
#include "jobs/result.hpp"
#include "sharding/control.hpp"
#include "sharding/plan.hpp"
#include "worker/shard_worker.hpp"

namespace fp8cal {

/// What the ranks hold of a job's result, brought together on rank 0. All are collective.

/// The name under which `worker` has evaluated a recipe.
using VariantOf = std::function<std::string(const std::string& recipe)>;

/// Adds the statistics of all layers, and scales and diagnostics of all recipes. own: this rank's
/// layers, which `worker` has evaluated; one rank of each stage sends them.
void collect_layers(const ShardWorker& worker, const std::vector<LayerStatistics>& own,
                    const RankPlan& rank, const Job& job, const ModelConfig& config,
                    const Control& control, const VariantOf& variant_of, Result& result);

/// Adds the scores of all evaluation windows, which `result` holds already. windows: those that
/// `worker` has evaluated. before: what earlier runs did.
void collect_perplexity(const ShardWorker& worker, const std::vector<std::string>& variants,
                        const Ranges& windows, const SavedProgress& before, const Control& control,
                        Result& result);

/// The digest of all weights, from the leaves that every rank hashed; empty but on rank 0.
std::string collect_weights_digest(const ShardWorker& worker, const Control& control);

}  // namespace fp8cal
