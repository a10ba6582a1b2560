#include "coordinator/throughput.hpp"

namespace fp8cal {
namespace {

std::uint64_t loaded_bytes(const ModelConfig& config, const RankPlan& rank, int slices) {
  std::uint64_t bytes = 0;
  for (std::size_t layer = rank.layers.first; layer < rank.layers.end(); ++layer) {
    bytes += bytes_of(layer_shards(config, layer, slices, rank.slice));
  }
  if (rank.embeds) bytes += embedding_shard(config, slices, rank.slice).bytes();
  if (!rank.predicts) return bytes;
  bytes += final_norm_shard(config).bytes();
  const bool shared = config.tie_word_embeddings && rank.embeds;
  return shared ? bytes : bytes + head_shard(config, slices, rank.slice).bytes();
}

}  // namespace

std::uint64_t linear_elements(const ModelConfig& config) {
  const std::uint64_t attention = config.hidden_size * (config.q_rows() + 2 * config.kv_rows()) +
                                  config.q_rows() * config.hidden_size;
  const std::uint64_t feed_forward = 3 * config.hidden_size * config.intermediate_size;
  return config.num_hidden_layers * (attention + feed_forward);
}

double flop_per_token(const ModelConfig& config, std::size_t length) {
  const double attention = 4.0 * static_cast<double>(config.num_hidden_layers * config.q_rows()) *
                           static_cast<double>(length) / 2;
  return 2.0 * static_cast<double>(linear_elements(config)) + attention;
}

std::uint64_t loaded_bytes(const ModelConfig& config, const Plan& plan) {
  std::uint64_t bytes = 0;
  for (const RankPlan& rank : plan.ranks) bytes += loaded_bytes(config, rank, plan.grid.tensor);
  return bytes;
}

}  // namespace fp8cal
