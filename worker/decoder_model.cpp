#include "worker/decoder_model.hpp"

#include "sharding/weight_shards.hpp"
#include "worker/amax_scales.hpp"
#include "worker/row_maxima.hpp"

namespace fp8cal {
namespace {

Plan plan_of(int slices) {
  Plan plan;
  plan.grid.tensor = slices;
  return plan;
}

RankPlan rank_of(int slice) {
  RankPlan rank;
  rank.slice = slice;
  return rank;
}

/// This slice's scales of KV heads; one of the tensor is every slice's.
std::vector<float> own_part(const std::vector<float>& whole, const Collectives& slices) {
  if (whole.empty()) return {1.0f};
  if (whole.size() == 1) return whole;
  const Range own = share_of(whole.size(), slices.size(), slices.rank());
  const auto first = whole.begin() + static_cast<std::ptrdiff_t>(own.first);
  return {first, first + static_cast<std::ptrdiff_t>(own.count)};
}

}  // namespace

DecoderModel::DecoderModel(Backend& backend, Collectives& slices, const DecoderSource& source)
    : backend_(backend), slices_(slices), config_(source.config) {
  ShardLoader loader(source.checkpoint, backend, config_, plan_of(slices.size()),
                     rank_of(slices.rank()), source.threads);
  source.progress.begin("load " + (source.recipe ? source.recipe->name : std::string("bf16")),
                        "layers", config_.num_hidden_layers, 0);
  load_ends(loader);
  for (std::size_t i = 0; i < config_.num_hidden_layers; ++i) {
    load_layer(loader, source, i);
    source.progress.advance(1);
  }
  source.progress.end();
}

void DecoderModel::load_ends(ShardLoader& loader) {
  std::vector<ShardTarget> ends;
  const auto add = [&](Buffer& into, WeightShard shard) {
    into = backend_.allocate(shard.bytes());
    ends.push_back(shard_at(into.data(), std::move(shard)));
  };
  add(embedding_, embedding_shard(config_, slices_.size(), slices_.rank()));
  add(final_norm_, final_norm_shard(config_));
  if (!config_.tie_word_embeddings) {
    add(head_, head_shard(config_, slices_.size(), slices_.rank()));
  }
  loader.begin(ends);
  loader.wait(ends.size());
  row_maxima(backend_, ends);  // refuses infinities and NaNs
}

void DecoderModel::load_layer(ShardLoader& loader, const DecoderSource& source, std::size_t index) {
  auto stored =
      std::make_unique<LayerWeights>(backend_, config_, index, slices_.size(), slices_.rank());
  loader.begin(stored->targets());
  loader.wait(stored->targets().size());
  stored->measure(backend_);
  if (!source.recipe) {
    layers_.push_back(stored->layer());
    stored_.push_back(std::move(stored));
    return;
  }
  const LayerScales scales =
      source.scales.empty()
          ? amax_scales(*source.recipe, whole_maxima(backend_, slices_, stored->statistics()))
          : source.scales.at(index);
  quantized_.push_back(std::make_unique<QuantizedLayer>(backend_, stored->layer(), *source.recipe,
                                                        scales, slices_.size(), slices_.rank(),
                                                        QuantizedLayer::Purpose::decode));
  layers_.push_back(quantized_.back()->layer());
}

void DecoderModel::keep_kv_in(DType kv, const std::vector<ModuleScales>& scales) {
  std::vector<float> all;
  std::vector<std::size_t> counts;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const ModuleScales one = scales.empty() ? ModuleScales() : scales.at(i);
    for (const auto* values : {&one.k_scale, &one.v_scale}) {
      const std::vector<float> own = own_part(*values, slices_);
      all.insert(all.end(), own.begin(), own.end());
      counts.push_back(own.size());
    }
  }
  kv_scales_ = {};
  kv_scales_ = backend_.allocate(all.size() * sizeof(float));
  backend_.upload(kv_scales_.data(), all.data(), kv_scales_.bytes());
  backend_.synchronize();  // the host copy ends here
  const float* at = kv_scales_.as<float>();
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    layers_[i].kv = {kv, {at, counts[2 * i]}, {at + counts[2 * i], counts[2 * i + 1]}};
    at += counts[2 * i] + counts[2 * i + 1];
  }
}

DecoderWeights DecoderModel::weights() const {
  return {.layers = layers_,
          .embedding = table(embedding_),
          .final_norm = Matrix::dense(final_norm_.data(), DType::bf16, 1, config_.hidden_size),
          .head = table(head_.data() != nullptr ? head_ : embedding_)};
}

/// A slice of the vocabulary's rows.
ConstMatrix DecoderModel::table(const Buffer& buffer) const {
  const WeightShard shard = embedding_shard(config_, slices_.size(), slices_.rank());
  return Matrix::dense(buffer.data(), DType::bf16, shard.rows.count, shard.cols());
}

}  // namespace fp8cal
