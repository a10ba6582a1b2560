#include "worker/decoder_model.hpp"

#include "worker/made_up_scales.hpp"
#include "worker/row_maxima.hpp"

namespace fp8cal {

DecoderModel::DecoderModel(const DecoderSource& source, const std::optional<Recipe>& recipe,
                           const std::vector<LayerScales>& scales)
    : source_(source) {
  const RankPlan& rank = source.plan.ranks[static_cast<std::size_t>(source.slices.rank())];
  ShardLoader loader(source.checkpoint, source.backend, source.config, source.plan, rank,
                     source.threads);
  load_ends(loader);
  const std::size_t layers = source.config.num_hidden_layers;
  source.progress.begin("load " + (recipe ? recipe->name : "bf16"), "layers", layers, 0);
  for (std::size_t layer = 0; layer < layers; ++layer) {
    load_layer(loader, layer, recipe, scales);
    source.progress.advance(1);
  }
  source.progress.end();
  source.backend.synchronize();
}

void DecoderModel::load_ends(ShardLoader& loader) {
  const ModelConfig& config = source_.config;
  const int slices = source_.slices.size();
  const int slice = source_.slices.rank();
  std::vector<ShardTarget> ends;
  const auto add = [&](Buffer& into, WeightShard shard) {
    into = source_.backend.allocate(shard.bytes());
    ends.push_back(shard_at(into.data(), std::move(shard)));
  };
  add(embedding_, embedding_shard(config, slices, slice));
  add(final_norm_, final_norm_shard(config));
  if (!config.tie_word_embeddings) add(head_, head_shard(config, slices, slice));
  loader.begin(ends);
  loader.wait(ends.size());
  row_maxima(source_.backend, ends);  // refuses infinities and NaNs
}

void DecoderModel::load_layer(ShardLoader& loader, std::size_t layer,
                              const std::optional<Recipe>& recipe,
                              const std::vector<LayerScales>& scales) {
  Backend& backend = source_.backend;
  const int slices = source_.slices.size();
  const int slice = source_.slices.rank();
  auto weights = std::make_unique<LayerWeights>(backend, source_.config, layer, slices, slice);
  loader.begin(weights->targets());
  loader.wait(weights->targets().size());
  weights->measure(backend);
  if (!recipe) {
    plain_.push_back(std::move(weights));
    layers_.push_back(plain_.back()->layer());
    return;
  }
  const LayerScales own =
      scales.empty() ? made_up_scales(backend, source_.slices, *recipe, weights->statistics())
                     : scales.at(layer);
  quantized_.push_back(std::make_unique<QuantizedLayer>(
      backend, weights->layer(), *recipe, own, slices, slice, QuantizedLayer::Purpose::decode));
  layers_.push_back(quantized_.back()->layer());
}

void DecoderModel::keep_by(DType dtype, const std::vector<LayerScales>& scales) {
  kv_scales_.clear();
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    layers_[i].kv = {};
    if (dtype == DType::bf16) continue;
    const std::vector<float> made_up = {1.0f};
    const auto of = [&](std::vector<float> ModuleScales::*kind) {
      return own_scales(scales.empty() ? made_up : scales.at(i).attention.*kind);
    };
    layers_[i].kv = {dtype, of(&ModuleScales::k_scale), of(&ModuleScales::v_scale)};
  }
}

/// Of this rank's KV heads, on the device.
Scales DecoderModel::own_scales(const std::vector<float>& whole) {
  const Range own = whole.size() == 1
                        ? Range{0, 1}
                        : share_of(whole.size(), source_.slices.size(), source_.slices.rank());
  kv_scales_.push_back(source_.backend.allocate(own.count * sizeof(float)));
  source_.backend.upload(kv_scales_.back().data(), whole.data() + own.first,
                         own.count * sizeof(float));
  source_.backend.synchronize();  // `whole` may be gone next
  return {kv_scales_.back().as<float>(), own.count};
}

DecoderWeights DecoderModel::weights() const {
  const WeightShard table =
      embedding_shard(source_.config, source_.slices.size(), source_.slices.rank());
  const auto matrix = [](const Buffer& buffer, std::size_t rows, std::size_t cols) {
    return Matrix::dense(buffer.data(), DType::bf16, rows, cols);
  };
  const Buffer& head = source_.config.tie_word_embeddings ? embedding_ : head_;
  return {.layers = layers_,
          .embedding = matrix(embedding_, table.rows.count, table.cols()),
          .final_norm = matrix(final_norm_, 1, table.cols()),
          .head = matrix(head, table.rows.count, table.cols())};
}

}  // namespace fp8cal
