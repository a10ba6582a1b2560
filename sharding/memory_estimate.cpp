#include <algorithm>

#include "sharding/plan.hpp"

namespace fp8cal {
namespace {

/// Six observed tensors a layer: the inputs of qkv, o, gate/up and down, then K and V.
std::uint64_t statistics_of_layer(const ModelConfig& config, const Workload& work) {
  constexpr std::uint64_t kHistogramBytes = 32768 * 8;
  const std::uint64_t channels =
      2 * config.hidden_size + config.q_rows() + config.intermediate_size + 2 * config.kv_rows();
  return 6 * kHistogramBytes + 4 * channels + 6 * 4 * work.calibration_sequences;
}

/// Bytes a token of the largest set of activations that live at once; see worker/workspace.hpp.
std::uint64_t workspace_per_token(const ModelConfig& config, int slices) {
  const std::uint64_t parts = static_cast<std::uint64_t>(slices);
  const std::uint64_t widest =
      std::max({config.hidden_size, config.q_rows(), config.intermediate_size});
  const std::uint64_t local =
      std::max(config.q_rows() + 2 * config.kv_rows(), 2 * config.intermediate_size) / parts;
  const std::uint64_t logits = config.vocab_size / vocabulary_slices(config.vocab_size);
  // Residual, delta, normed and wide activations, local results before and after a gather, the
  // quantized operand, one vocabulary slice of logits.
  return 2 * (3 * config.hidden_size + widest + local + 2 * widest) + widest + 2 * logits;
}

}  // namespace

MemoryEstimate estimate_memory(const ModelConfig& config, const Workload& work, const Grid& grid,
                               std::size_t layers_at_once) {
  const std::uint64_t layer = bytes_of(layer_shards(config, 0, grid.tensor, 0));
  const std::uint64_t embedding = embedding_shard(config, grid.tensor, 0).bytes();
  const bool one_stage = grid.layers == 1;
  // Untied, the first stage holds the embedding and the last the head: both in a single stage.
  const std::uint64_t ends = one_stage && !config.tie_word_embeddings ? 2 * embedding : embedding;
  MemoryEstimate memory;
  memory.weights = layer * layers_at_once + ends;
  memory.quantized = layer * layers_at_once / 2;
  memory.workspace = work.max_tokens() * workspace_per_token(config, grid.tensor);
  memory.statistics = statistics_of_layer(config, work) * layers_at_once;
  return memory;
}

}  // namespace fp8cal
