#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "kernels/backend.hpp"
#include "worker/layer_statistics.hpp"
#include "worker/shard_target.hpp"

namespace fp8cal {

/// One linear layer as the forward pass uses it: BF16, or FP8 with its scales.
struct Linear {
  ConstMatrix weight;   // [own output rows, inputs] bf16 or fp8
  Scales weight_scale;  // fp8: 1 or own output rows
  Scales input_scale;   // fp8: 1, or none: a scale a token at run time
};

/// One layer as the forward pass uses it, in the slice of this rank. q, k and v read one input and
/// are one matrix, rows in that order; so are gate and up.
struct Layer {
  std::size_t index = 0;
  ConstMatrix input_norm;           // [1, hidden] bf16
  ConstMatrix post_attention_norm;  // [1, hidden] bf16
  Linear qkv, o, gate_up, down;
};

/// The BF16 weights of one layer in device memory, with their statistics.
class LayerWeights {
 public:
  /// Makes room for slice `slice` of `slices` of `layer`.
  LayerWeights(Backend& backend, const ModelConfig& config, std::size_t layer, int slices,
               int slice);

  /// What to load, and where to.
  const std::vector<ShardTarget>& targets() const { return targets_; }

  /// Computes the statistics, once the targets are loaded. Throws InputError where a weight is an
  /// infinity or NaN.
  void measure(Backend& backend);

  const Layer& layer() const { return layer_; }
  /// Row amax of this rank's slice of each linear module, once measured.
  const std::array<WeightStatistics, kLinearModules>& statistics() const { return statistics_; }

 private:
  Buffer storage_;
  std::vector<ShardTarget> targets_;
  Layer layer_;
  std::array<WeightStatistics, kLinearModules> statistics_;
};

}  // namespace fp8cal
