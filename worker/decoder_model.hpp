#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "jobs/checkpoint.hpp"
#include "jobs/recipe.hpp"
#include "sharding/collectives.hpp"
#include "sharding/plan.hpp"
#include "worker/decoder.hpp"
#include "worker/layer_weights.hpp"
#include "worker/progress.hpp"
#include "worker/quantized_layer.hpp"
#include "worker/shard_loader.hpp"

namespace fp8cal {

/// Where a rank's slice of a model comes from; borrowed.
struct DecoderSource {
  Backend& backend;
  Collectives& slices;
  const ModelConfig& config;
  const Plan& plan;  ///< tensor slices alone
  const Checkpoint& checkpoint;
  int threads;  ///< of this rank on the host, to read weights with
  ProgressListener& progress;
};

/// The weights of a model in BF16, or as a recipe has them, in the slice of this rank. In memory it
/// takes what decoder_memory says, while it loads too: a layer is quantized as soon as it is there,
/// and what it was made from goes.
class DecoderModel {
 public:
  /// scales: one a layer; empty: made up. Throws as ShardLoader and LayerWeights do. Collective.
  DecoderModel(const DecoderSource& source, const std::optional<Recipe>& recipe,
               const std::vector<LayerScales>& scales);

  /// From now on keys and values are kept by these scales, one a layer; those made up are 1.
  void keep_by(DType dtype, const std::vector<LayerScales>& scales);

  /// Until keep_by is called again.
  DecoderWeights weights() const;

 private:
  void load_ends(ShardLoader& loader);
  void load_layer(ShardLoader& loader, std::size_t layer, const std::optional<Recipe>& recipe,
                  const std::vector<LayerScales>& scales);
  Scales own_scales(const std::vector<float>& whole);

  DecoderSource source_;
  Buffer embedding_, head_, final_norm_;                    // no head where it is the embedding
  std::vector<std::unique_ptr<LayerWeights>> plain_;        // in BF16
  std::vector<std::unique_ptr<QuantizedLayer>> quantized_;  // or these
  std::vector<Layer> layers_;
  std::vector<Buffer> kv_scales_;
};

}  // namespace fp8cal
