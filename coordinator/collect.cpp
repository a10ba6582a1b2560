#include "coordinator/collect.hpp"

#include "coordinator/result_builder.hpp"
#include "coordinator/scales/scale_policy.hpp"
#include "coordinator/window_scores.hpp"
#include "jobs/packing.hpp"
#include "jobs/recipe.hpp"

namespace fp8cal {

void collect_layers(const ShardWorker& worker, const std::vector<LayerStatistics>& own,
                    const RankPlan& rank, const Job& job, const ModelConfig& config,
                    const Control& control, const VariantOf& variant_of, Result& result) {
  const ScalePolicy policy = parse_scale_policy(job.scales.policy);
  std::string bytes;
  if (rank.share == 0 && rank.slice == 0) {
    for (std::size_t i = 0; i < own.size(); ++i) {
      bytes += pack_statistics(own[i]);
      for (const std::string& name : job.scales.recipes) {
        pack(bytes, worker.weight_errors(variant_of(name)).at(i));
      }
    }
  }
  for (const std::string& from : control.gather(bytes)) {
    for (Unpacker layers(from); !layers.done();) {
      const LayerStatistics one = unpack_statistics(layers);
      add_statistics(result, one);
      for (const std::string& name : job.scales.recipes) {
        const Recipe recipe = find_recipe(name);
        const LayerScales scales = derive_scales(recipe, policy, config.num_key_value_heads, one);
        add_scales(result, name, one.layer, scales);
        add_diagnostics(result, recipe, one, scales);
        WeightErrors errors;
        layers.take(errors);
        add_weight_errors(result, name, one.layer, errors);
      }
    }
  }
}

void collect_perplexity(const ShardWorker& worker, const std::vector<std::string>& variants,
                        const Ranges& windows, const SavedProgress& before, const Control& control,
                        Result& result) {
  for (const std::string& variant : variants) {
    Perplexity perplexity;
    perplexity.windows = result.evaluation.windows();
    perplexity.predictions = result.evaluation.sequence_length - 1;
    VariantScores all;
    if (before.scores.contains(variant)) {
      place_scores(all, perplexity.windows, before.evaluated, before.scores.at(variant),
                   perplexity.predictions);
    }
    gather_scores(control, windows, worker.scores(variant), all, perplexity.windows,
                  perplexity.predictions);
    perplexity.nll = std::move(all.nll);
    perplexity.kl = std::move(all.kl);
    perplexity.same_top = std::move(all.same_top);
    result.perplexity[variant] = std::move(perplexity);
  }
}

std::string collect_weights_digest(const ShardWorker& worker, const Control& control) {
  WeightLeaves leaves;
  for (const std::string& from : control.gather(pack_leaves(worker.leaves()))) {
    unpack_leaves(from, leaves);
  }
  return control.rank() == 0 ? weights_digest(leaves) : "";
}

}  // namespace fp8cal
