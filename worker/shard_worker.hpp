#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "jobs/result.hpp"
#include "sharding/groups.hpp"
#include "worker/layer_weights.hpp"
#include "worker/llama.hpp"
#include "worker/progress.hpp"
#include "worker/quantized_layer.hpp"
#include "worker/shard_loader.hpp"
#include "worker/statistics_observer.hpp"

namespace fp8cal {

/// What a rank works on. Everything is borrowed and must outlive the worker.
struct ShardContext {
  Backend& backend;
  Groups& groups;
  const ModelConfig& config;
  const Workload& work;
  const Plan& plan;
  const RankPlan& rank;
  const Checkpoint& checkpoint;
  const TokenWindows& calibration;
  const TokenWindows& evaluation;
  ProgressListener& progress;
  int threads;  ///< of this rank on the host, to read weights with
};

/// Runs one rank's shard: its layers, a chunk of them at a time, over its sequences. For each
/// chunk: load, calibrate, then evaluate in BF16 and in each recipe, in any order but the same on
/// every rank. With one chunk the weights stay; with more, hidden states wait in host memory
/// between chunks, and every weight is read once.
class ShardWorker {
 public:
  explicit ShardWorker(const ShardContext& context);

  std::size_t chunks() const;

  /// Goes on to the weights of chunk `index`: 0 first, then each in turn. Frees those before, waits
  /// until these are loaded, and begins to load the next ones: two chunks are in memory.
  void load(std::size_t index);

  /// Runs the calibration sequences through the chunk and merges what was observed over the ranks
  /// of the stage. Returns the chunk's layers. Collective over the stage.
  std::vector<LayerStatistics> calibrate();

  /// Runs the calibration sequences through the chunk without observing them: for measuring.
  void forward();

  /// Runs the evaluation windows through the chunk in BF16.
  void evaluate_bf16();

  /// Runs the evaluation windows through the chunk in FP8. scales: one a layer of the chunk.
  void evaluate(const std::string& recipe, const std::vector<LayerScales>& scales);

  /// This rank's NLLs of a variant ("bf16" or a recipe), [own windows, predictions]; empty but on
  /// slice 0 of the last stage, and before its last chunk. May hold infinities and NaNs.
  const std::vector<float>& nll(const std::string& variant) { return nll_[variant]; }

  /// From now on passes take only this rank's first microbatch, for measuring. Their NLLs and
  /// hidden states are kept under names that begin with `prefix`, beside those of whole passes. ""
  /// ends it.
  void sample(const std::string& prefix) { sample_ = prefix; }

  const WeightLeaves& leaves() const { return loader_.leaves(); }

 private:
  /// One way through the model: which sequences, and where they stand between chunks.
  struct Pass {
    const TokenWindows* windows = nullptr;
    Range sequences;                    // of this rank
    bool scored = false;                // NLLs at the end
    std::vector<std::uint16_t> hidden;  // [own sequences * length, hidden] bf16, between chunks
  };

  Range layers_of(std::size_t chunk) const;
  Range chunk_layers() const { return layers_of(chunk_); }
  /// Loads the embedding, final norm and head that this rank has.
  void load_ends();
  /// Begins to load the weights of chunk `index` in the background.
  void fetch(std::size_t index);
  Pass& pass(const std::string& name, const TokenWindows& windows, Range sequences, bool scored);
  void evaluate_with(const std::string& variant, const std::vector<const Layer*>& layers);
  void run(Pass& pass, const std::string& stage, const std::vector<const Layer*>& layers,
           StatisticsObserver* observer, std::vector<float>* nll);
  Matrix enter(Pass& pass, Range batch);
  void leave(Pass& pass, Range batch, Matrix x, std::vector<float>* nll);
  void score(const Pass& pass, Range batch, Matrix x, std::vector<float>& nll);
  void finish_work();
  std::vector<const Layer*> bf16_layers() const;
  std::vector<LayerStatistics> merged_statistics(StatisticsObserver& observer);
  void gather_weight_statistics(const LayerWeights& own, LayerStatistics& into);

  ShardContext context_;
  Llama llama_;
  Buffer embedding_, head_, final_norm_;        // bf16; empty where another stage has them
  Buffer ids_, targets_, nll_device_, hidden_;  // of one microbatch
  std::size_t chunk_ = 0;
  std::vector<std::unique_ptr<LayerWeights>> weights_;  // of the chunk
  std::vector<std::unique_ptr<LayerWeights>> fetched_;  // of the next one
  std::string sample_;
  std::map<std::string, Pass> passes_;
  std::map<std::string, std::vector<float>> nll_;
  ShardLoader loader_;  // last: it stops before the memory that it fills is freed
};

}  // namespace fp8cal
