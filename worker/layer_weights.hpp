#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "jobs/recipe.hpp"
#include "kernels/backend.hpp"
#include "worker/layer_statistics.hpp"
#include "worker/shard_target.hpp"

namespace fp8cal {

/// One linear layer as the forward pass uses it: BF16, or FP8 with its scales.
struct Linear {
  ConstMatrix weight;                         // [own output rows, inputs] bf16 or fp8
  Scales weight_scale;                        // fp8: 1 or own output rows
  Recipe::Input input = Recipe::Input::bf16;  // how x meets an FP8 weight
  Scales input_scale;                         // 1 where that is per_tensor, else none
};

/// How keys and values are kept in FP8, or rounded as if they were.
struct KvScales {
  DType dtype = DType::e4m3;  // or e5m2
  Scales key;                 // 1, or one of each own KV head; none: they stay BF16
  Scales value;
};

/// One layer as the forward pass uses it, in the slice of this rank. q, k and v read one input and
/// are one matrix, rows in that order; so are gate and up.
struct Layer {
  std::size_t index = 0;
  ConstMatrix input_norm;           // [1, hidden] bf16
  ConstMatrix post_attention_norm;  // [1, hidden] bf16
  Linear qkv, o, gate_up, down;
  KvScales kv;
};

/// The weights of one layer in device memory as the checkpoint has them, with their statistics.
class LayerWeights {
 public:
  /// Makes room for slice `slice` of `slices` of `layer`.
  LayerWeights(Backend& backend, const ModelConfig& config, std::size_t layer, int slices,
               int slice);

  /// What to load, and where to.
  const std::vector<ShardTarget>& targets() const { return targets_; }

  /// Computes the statistics of what is BF16, once the targets are loaded. Throws InputError where
  /// such a weight is an infinity or NaN.
  void measure(Backend& backend);

  const Layer& layer() const { return layer_; }
  /// Row amax of this rank's slice of each linear module, once measured; empty in FP8.
  const std::array<WeightStatistics, kLinearModules>& statistics() const { return statistics_; }

 private:
  Buffer storage_;
  std::vector<ShardTarget> targets_;
  Layer layer_;
  std::array<WeightStatistics, kLinearModules> statistics_;
};

}  // namespace fp8cal
