#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "jobs/recipe.hpp"
#include "jobs/result.hpp"
#include "sharding/groups.hpp"
#include "sharding/units.hpp"
#include "worker/layer_weights.hpp"
#include "worker/llama.hpp"
#include "worker/progress.hpp"
#include "worker/quantized_layer.hpp"
#include "worker/shard_loader.hpp"
#include "worker/statistics_observer.hpp"

namespace fp8cal {

/// How one variant predicts this rank's windows so far, [own windows, predictions] each, in the
/// order of their positions.
struct VariantScores {
  std::vector<float> nll;
  std::vector<float> kl;               ///< as Perplexity::kl; empty where nothing was compared
  std::vector<std::uint8_t> same_top;  ///< the same
};

/// What quantizing did to each linear weight of a layer.
using WeightErrors = std::array<QuantizationError, kLinearModules>;

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
  /// A chunk begins with this layer. Of the sequences and windows that go through it, hidden states
  /// are given by start_from; 0: none, they are embedded.
  std::size_t first_layer = 0;
  /// Called after each unit of a pass, Units::most times; may throw. None: empty.
  std::function<void()> after_unit = {};
};

/// Runs one rank's shard: its layers, a chunk of them at a time, over its sequences. For each
/// chunk: load, calibrate, then evaluate in BF16 and in each recipe, in any order but the same on
/// every rank. With one chunk the weights stay; with more, hidden states wait in host memory
/// between chunks, and every weight is read once.
class ShardWorker {
 public:
  explicit ShardWorker(const ShardContext& context);

  std::size_t chunks() const { return chunks_.size(); }

  /// Goes on to the weights of chunk `index`: 0 first, then each in turn. Frees those before, waits
  /// until these are loaded, and begins to load the next ones: two chunks are in memory.
  void load(std::size_t index);

  /// The layers of the chunk loaded last.
  Range loaded_layers() const { return chunks_[chunk_]; }

  /// Runs calibration sequences through the chunk and merges what was observed over the ranks of
  /// the stage. before: what was observed of other sequences in earlier runs, one a layer of the
  /// chunk, or empty. Returns the chunk's layers. Collective over the stage.
  std::vector<LayerStatistics> calibrate(const Units& units,
                                         const std::vector<LayerStatistics>& before);

  /// While `calibrate` calls after_unit: the activations of the chunk's layers as observed so far,
  /// `before` included, on the first rank of the stage; empty elsewhere. Collective over the stage.
  std::vector<LayerStatistics> observed_so_far();

  /// Runs calibration sequences through the chunk without observing them: for measuring.
  void forward(const Units& units);

  /// Runs evaluation windows through the chunk in BF16. Where the work compares, what the model
  /// ends with is kept as the reference of every `evaluate` that follows of these windows.
  void evaluate_bf16(const Units& units);

  /// Runs evaluation windows through the chunk as `recipe` computes it. scales: one a layer of the
  /// chunk. The first time, what quantizing does to the weights is measured.
  void evaluate(const Recipe& recipe, const std::vector<LayerScales>& scales, const Units& units);

  /// This rank's scores of a variant ("bf16" or a recipe); empty but on slice 0 of the last stage,
  /// and before its last chunk. May hold infinities and NaNs.
  const VariantScores& scores(const std::string& variant) const;

  /// From now on passes take only this rank's first unit, for measuring. Their NLLs and
  /// hidden states are kept under names that begin with `prefix`, beside those of whole passes. ""
  /// ends it.
  void sample(const std::string& prefix) { sample_ = prefix; }

  /// What quantizing by `recipe` did to the linear weights of each layer so far, whole: of all
  /// slices. Empty where they came in FP8.
  const std::vector<WeightErrors>& weight_errors(const std::string& recipe) const {
    return weight_errors_.at(recipe);
  }

  const WeightLeaves& leaves() const { return loader_.leaves(); }

  /// What a pass ("calibrate", "bf16" or a recipe) ended the chunk with, but for the last chunk:
  /// [units' positions, length, hidden] bf16.
  std::span<const std::uint16_t> hidden(const std::string& pass) const {
    return passes_.at(pass).hidden;
  }
  /// What a pass enters the chunk with that begins with ShardContext::first_layer.
  void start_from(const std::string& pass, std::vector<std::uint16_t> hidden) {
    passes_[pass].hidden = std::move(hidden);
  }

 private:
  /// One way through the model, and where sequences stand between chunks.
  struct Pass {
    const TokenWindows* windows = nullptr;
    VariantScores* scores = nullptr;    // filled at the end; none: nothing is predicted
    bool is_reference = false;          // what it ends with is kept for others to compare with
    bool compares = false;              // with that
    std::vector<std::uint16_t> hidden;  // [own sequences * length, hidden] bf16, between chunks
  };

  /// Loads the embedding, final norm and head that this rank has.
  void load_ends();
  /// Begins to load the weights of chunk `index` in the background.
  void fetch(std::size_t index);
  Pass& pass(const std::string& name, const TokenWindows& windows);
  Pass& evaluation_pass(const std::string& variant);
  void run(Pass& pass, const std::string& stage, const std::vector<const Layer*>& layers,
           const Units& units, StatisticsObserver* observer);
  void run_unit(Pass& pass, const std::vector<const Layer*>& layers, const Unit& unit,
                StatisticsObserver* observer);
  Matrix enter(Pass& pass, const Unit& unit);
  void leave(Pass& pass, const Unit& unit, Matrix x);
  void keep(const Pass& pass, const Unit& unit, Matrix x, std::vector<std::uint16_t>& into);
  void score(const Pass& pass, const Unit& unit, Matrix x);
  void keep_reference(const Pass& pass, const Unit& unit, Matrix x);
  Matrix reference(const Pass& pass, const Unit& unit, Matrix x);
  std::size_t most_of_a_share(const TokenWindows& windows) const;
  void finish_work();
  std::vector<const Layer*> stored_layers() const;
  std::vector<LayerStatistics> observed() const;
  void gather_weight_statistics(const LayerWeights& own, LayerStatistics& into);
  WeightErrors gather_weight_errors(const LayerWeights& own, const std::vector<RowError>& rows);
  /// The rows of all slices. own: as many on each.
  template <class T>
  std::vector<T> gather_rows(std::span<const T> own);

  ShardContext context_;
  std::vector<Range> chunks_;  // of layers
  Llama llama_;
  Buffer embedding_, head_, final_norm_;  // bf16; empty where another stage has them
  // Of one microbatch; the last two where the work compares.
  Buffer ids_, targets_, nll_device_, hidden_, kl_device_, same_top_device_;
  std::optional<StatisticsObserver> observer_;  // while calibrating
  // What BF16 ends with, [own windows * length, hidden]; on the host where the plan says so, and
  // then only a microbatch of it on the device.
  Buffer reference_;
  std::vector<std::uint16_t> reference_host_;
  std::size_t chunk_ = 0;
  std::vector<std::unique_ptr<LayerWeights>> weights_;  // of the chunk
  std::vector<std::unique_ptr<LayerWeights>> fetched_;  // of the next one
  std::string sample_;
  std::map<std::string, Pass> passes_;
  std::map<std::string, VariantScores> scores_;
  std::map<std::string, std::vector<WeightErrors>> weight_errors_;
  ShardLoader loader_;  // last: it stops before the memory that it fills is freed
};

}  // namespace fp8cal
