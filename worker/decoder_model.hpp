#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "jobs/checkpoint.hpp"
#include "jobs/model_config.hpp"
#include "jobs/recipe.hpp"
#include "kernels/backend.hpp"
#include "sharding/collectives.hpp"
#include "worker/decoder.hpp"
#include "worker/layer_weights.hpp"
#include "worker/progress.hpp"
#include "worker/quantized_layer.hpp"
#include "worker/shard_loader.hpp"

namespace fp8cal {

/// What a DecoderModel loads. Borrowed, but for the recipe, while it is made.
struct DecoderSource {
  const Checkpoint& checkpoint;  ///< in BF16
  const ModelConfig& config;
  std::optional<Recipe> recipe;            ///< none: it stays BF16
  const std::vector<LayerScales>& scales;  ///< of the recipe, one a layer; empty: amax_scales
  int threads;                             ///< of this rank on the host, to read with
  ProgressListener& progress;
};

/// The weights of a whole model in one slice as a variant computes with them, and nothing else: of
/// the BF16 weights that it quantizes, one layer is there at a time.
class DecoderModel {
 public:
  /// slices: the ranks that share every weight. Throws Error and InputError as ShardLoader and
  /// LayerWeights::measure do. Collective over the slices.
  DecoderModel(Backend& backend, Collectives& slices, const DecoderSource& source);

  /// From now on keys and values are in FP8 by these scales: of attention modules, one a layer, or
  /// empty for scales of 1. kv: e4m3 or e5m2.
  void keep_kv_in(DType kv, const std::vector<ModuleScales>& scales);

  /// Until this object goes or keep_kv_in is called again.
  DecoderWeights weights() const;

 private:
  void load_ends(ShardLoader& loader);
  void load_layer(ShardLoader& loader, const DecoderSource& source, std::size_t index);
  ConstMatrix table(const Buffer& buffer) const;

  Backend& backend_;
  Collectives& slices_;
  ModelConfig config_;
  Buffer embedding_, final_norm_, head_;               // head_: empty where embeddings are tied
  std::vector<std::unique_ptr<LayerWeights>> stored_;  // of BF16
  std::vector<std::unique_ptr<QuantizedLayer>> quantized_;  // else
  Buffer kv_scales_;
  std::vector<Layer> layers_;
};

}  // namespace fp8cal
