#include "worker/layer_weights.hpp"

namespace fp8cal {
namespace {

/// Matrices that lie one after the other, as one: they have the same number of columns.
ConstMatrix joined(const std::vector<Matrix>& parts, std::size_t first, std::size_t count) {
  Matrix all = parts[first];
  for (std::size_t i = first + 1; i < first + count; ++i) all.rows += parts[i].rows;
  return all;
}

}  // namespace

LayerWeights::LayerWeights(ShardLoader& loader, Backend& backend, const ModelConfig& config,
                           std::size_t layer, int slices, int slice) {
  const std::vector<WeightShard> shards = layer_shards(config, layer, slices, slice);
  storage_ = backend.allocate(bytes_of(shards));

  std::vector<Matrix> matrices;
  std::byte* at = storage_.as<std::byte>();
  std::size_t module = 0;
  for (const WeightShard& shard : shards) {
    matrices.push_back(Matrix::dense(at, DType::bf16, shard.rows.count, shard.cols()));
    std::vector<float> amax = loader.load(shard, matrices.back());
    if (shard.is_matrix()) statistics_[module++].channel_amax = std::move(amax);
    at += shard.bytes();
  }
  layer_.index = layer;
  layer_.input_norm = matrices[0];
  layer_.qkv.weight = joined(matrices, 1, 3);
  layer_.o.weight = matrices[4];
  layer_.post_attention_norm = matrices[5];
  layer_.gate_up.weight = joined(matrices, 6, 2);
  layer_.down.weight = matrices[8];
}

}  // namespace fp8cal
