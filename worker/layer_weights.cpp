#include "worker/layer_weights.hpp"

#include <utility>

#include "worker/row_maxima.hpp"

namespace fp8cal {
namespace {

/// Matrices that lie one after the other, as one: they have the same number of columns.
ConstMatrix joined(const std::vector<ShardTarget>& parts, std::size_t first, std::size_t count) {
  Matrix all = parts[first].into;
  for (std::size_t i = first + 1; i < first + count; ++i) all.rows += parts[i].into.rows;
  return all;
}

}  // namespace

LayerWeights::LayerWeights(Backend& backend, const ModelConfig& config, std::size_t layer,
                           int slices, int slice) {
  std::vector<WeightShard> shards = layer_shards(config, layer, slices, slice);
  storage_ = backend.allocate(bytes_of(shards));
  std::byte* at = storage_.as<std::byte>();
  for (WeightShard& shard : shards) {
    const std::size_t bytes = shard.bytes();
    targets_.push_back(shard_at(at, std::move(shard)));
    at += bytes;
  }
  layer_.index = layer;
  layer_.input_norm = targets_[0].into;
  layer_.qkv.weight = joined(targets_, 1, 3);
  layer_.o.weight = targets_[4].into;
  layer_.post_attention_norm = targets_[5].into;
  layer_.gate_up.weight = joined(targets_, 6, 2);
  layer_.down.weight = targets_[8].into;
}

void LayerWeights::measure(Backend& backend) {
  std::vector<ShardTarget> measured = targets_;
  std::erase_if(measured, [](const ShardTarget& one) { return one.shard.dtype != DType::bf16; });
  std::vector<std::vector<float>> maxima = row_maxima(backend, measured);
  std::size_t module = 0;
  for (std::size_t i = 0; i < measured.size(); ++i) {
    if (measured[i].shard.is_matrix()) statistics_[module++].channel_amax = std::move(maxima[i]);
  }
}

}  // namespace fp8cal
