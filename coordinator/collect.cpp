#include "coordinator/collect.hpp"

#include "coordinator/result_builder.hpp"
#include "coordinator/scales/scale_policy.hpp"
#include "jobs/packing.hpp"
#include "jobs/recipe.hpp"

namespace fp8cal {

void collect_layers(const ShardWorker& worker, const std::vector<LayerStatistics>& own,
                    const RankPlan& rank, const Job& job, const ModelConfig& config,
                    const Control& control, Result& result) {
  const ScalePolicy policy = parse_scale_policy(job.scales.policy);
  std::string bytes;
  if (rank.share == 0 && rank.slice == 0) {
    for (std::size_t i = 0; i < own.size(); ++i) {
      bytes += pack_statistics(own[i]);
      for (const std::string& name : job.scales.recipes) {
        pack(bytes, worker.weight_errors(name).at(i));
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

/// Ranks follow one another in the order of their windows.
void collect_perplexity(ShardWorker& worker, const std::vector<std::string>& variants,
                        const Control& control, Result& result) {
  for (const std::string& variant : variants) {
    const VariantScores& own = worker.scores(variant);
    std::string bytes;
    pack(bytes, own.nll);
    pack(bytes, own.kl);
    pack(bytes, own.same_top);
    Perplexity perplexity;
    perplexity.windows = result.evaluation.windows();
    perplexity.predictions = result.evaluation.sequence_length - 1;
    for (const std::string& from : control.gather(bytes)) {
      Unpacker scores(from);
      const auto append = [&scores]<class T>(std::vector<T>& all) {
        std::vector<T> part;
        scores.take(part);
        all.insert(all.end(), part.begin(), part.end());
      };
      append(perplexity.nll);
      append(perplexity.kl);
      append(perplexity.same_top);
    }
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
