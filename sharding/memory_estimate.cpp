#include <algorithm>

#include "kernels/backend.hpp"
#include "sharding/plan.hpp"
#include "sharding/runtime_bytes.hpp"
#include "sharding/workspace_bytes.hpp"

namespace fp8cal {
namespace {

/// Six observed tensors a layer: the inputs of qkv, o, gate/up and down, then K and V.
std::uint64_t statistics_of_layer(const ModelConfig& config, const Workload& work) {
  if (work.calibration_sequences == 0) return 0;
  constexpr std::uint64_t kHistogramBytes = 32768 * 8;
  const std::uint64_t channels =
      2 * config.hidden_size + config.q_rows() + config.intermediate_size + 2 * config.kv_rows();
  return 6 * kHistogramBytes + 4 * channels + 6 * 4 * work.calibration_sequences;
}

/// Something of each row of one weight, of a slice and then of all, on its way to the host.
std::uint64_t gathered_rows(const ModelConfig& config, std::size_t bytes_of_row) {
  return 2 * bytes_of_row *
         std::max({config.q_rows(), config.hidden_size, config.intermediate_size});
}

/// Activations of one microbatch, and what goes in and out of the model with it.
std::uint64_t workspace_of(const ModelConfig& config, const Workload& work, int slices) {
  const std::size_t lanes = static_cast<std::size_t>(lanes_of(work.microbatch, slices));
  const std::size_t lane_tokens = (work.microbatch + lanes - 1) / lanes * work.max_length();
  constexpr std::uint64_t kIdTargetAndNll = 12;
  constexpr std::uint64_t kDivergenceAndMark = 5;
  return lanes * workspace_bytes(config, lane_tokens, slices, work.compares).total() +
         work.max_tokens() *
             (config.hidden_size * 2 + kIdTargetAndNll + (work.compares ? kDivergenceAndMark : 0)) +
         work.max_length() * config.head_dim * 2;
}

/// The copies of one layer's linear weights that a recipe computes with.
std::uint64_t copy_of(const std::vector<WeightShard>& layer, const ModelConfig& config,
                      const Workload& work) {
  std::uint64_t elements = 0;
  std::uint64_t rows = 0;
  for (const WeightShard& shard : layer) {
    if (!shard.is_matrix()) continue;
    elements += shard.rows.count * shard.cols();
    rows += shard.rows.count;
  }
  // A scale a row, one for each of the four inputs, and one a KV head, of keys and of values.
  const std::uint64_t scales = rows + 4 + 2 * config.num_key_value_heads;
  const std::uint64_t errors = work.copy_bytes == 0 ? 0 : rows * sizeof(RowError);
  return elements * work.copy_bytes + scales * sizeof(float) + errors;
}

/// FP8 codes on their way to a dequantized copy, of the largest matrix.
std::uint64_t codes_between(const ModelConfig& config, const Workload& work, int slices) {
  if (work.copy_bytes < 2) return 0;
  const std::size_t rows =
      std::max(config.q_rows() + 2 * config.kv_rows(), 2 * config.intermediate_size);
  return rows * config.hidden_size / static_cast<std::uint64_t>(slices);
}

}  // namespace

MemoryEstimate estimate_memory(const ModelConfig& config, const Workload& work, const Grid& grid,
                               std::size_t layers_at_once, const Device& device) {
  const std::vector<WeightShard> shards = layer_shards(config, 0, grid.tensor, 0);
  const std::uint64_t layer = bytes_of(shards);
  const std::uint64_t embedding = embedding_shard(config, grid.tensor, 0).bytes();
  const bool one_stage = grid.layers == 1;
  const std::uint64_t final_norm = final_norm_shard(config).bytes();
  // Untied, the first stage holds the embedding and the last the head: both in a single stage.
  const std::uint64_t ends = one_stage && !config.tie_word_embeddings ? 2 * embedding : embedding;
  // Streamed, the layers that come next are loaded while these are still there.
  const std::size_t own = config.num_hidden_layers / static_cast<std::size_t>(grid.layers);
  MemoryEstimate memory;
  memory.weights = layer * std::min(own, 2 * layers_at_once) + ends + final_norm;
  memory.quantized = copy_of(shards, config, work) * layers_at_once +
                     codes_between(config, work, grid.tensor) +
                     gathered_rows(config, sizeof(RowError));
  memory.workspace = workspace_of(config, work, grid.tensor);
  memory.statistics =
      statistics_of_layer(config, work) * layers_at_once + gathered_rows(config, sizeof(float));
  if (work.compares) memory.reference = work.max_tokens() * config.hidden_size * 2;
  memory.runtime = runtime_bytes(grid, device);
  return memory;
}

}  // namespace fp8cal
