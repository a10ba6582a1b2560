#include "sharding/decoder_memory.hpp"

#include <algorithm>

#include "kernels/backend.hpp"
#include "sharding/runtime_bytes.hpp"

namespace fp8cal {
namespace {

/// What one slice of a layer's linear modules, or of all ends, consists of.
struct Linears {
  std::uint64_t elements = 0;
  std::uint64_t rows = 0;
};

Linears linears_of(const std::vector<WeightShard>& layer) {
  Linears all;
  for (const WeightShard& shard : layer) {
    if (!shard.is_matrix()) continue;
    all.elements += shard.rows.count * shard.cols();
    all.rows += shard.rows.count;
  }
  return all;
}

/// Of one layer as `recipe` computes it, with scales of keys and values.
std::uint64_t layer_bytes(const ModelConfig& config, const std::optional<Recipe>& recipe,
                          const std::vector<WeightShard>& shards) {
  const std::uint64_t kv_scales = 2 * config.num_key_value_heads * sizeof(float);
  if (!recipe) return bytes_of(shards) + kv_scales;
  const Linears linears = linears_of(shards);
  constexpr std::uint64_t kMatrices = 4;  // qkv, o, gate_up and down
  const std::uint64_t norms = bytes_of(shards) - linears.elements * size_of(DType::bf16);
  const std::uint64_t weight_scales = recipe->weight_per_channel ? linears.rows : kMatrices;
  return linears.elements + norms + (weight_scales + kMatrices) * sizeof(float) + kv_scales;
}

std::uint64_t ends_bytes(const ModelConfig& config, int slices) {
  const std::uint64_t table = embedding_shard(config, slices, 0).bytes();
  return table * (config.tie_word_embeddings ? 1 : 2) + final_norm_shard(config).bytes();
}

/// The largest matrix of one slice, q, k and v as one and gate and up as one, in BF16.
std::uint64_t largest_weight(const ModelConfig& config, std::size_t slices) {
  const std::uint64_t inputs =
      std::max(config.q_rows() + 2 * config.kv_rows(), 2 * config.intermediate_size);
  const std::uint64_t outputs = std::max(config.q_rows(), config.intermediate_size);
  return config.hidden_size * std::max(inputs, outputs) / slices * size_of(DType::bf16);
}

}  // namespace

DecoderBytes decoder_bytes(const ModelConfig& config, const DecoderShape& shape, int slices,
                           bool widens) {
  const std::size_t parts = static_cast<std::size_t>(slices);
  const std::size_t rows = shape.rows();
  const std::size_t kv_cols = config.kv_rows() / parts;
  DecoderBytes bytes;
  bytes.workspace = workspace_bytes(config, rows, slices, false);
  bytes.hidden = rows * config.hidden_size * size_of(DType::bf16);
  bytes.prompt = shape.capacity * sizeof(std::uint32_t);
  bytes.targets = rows * sizeof(std::uint32_t);
  bytes.nll = rows * sizeof(float);
  bytes.places = shape.capacity * sizeof(std::uint32_t);
  bytes.rope = shape.capacity * (config.head_dim / 2) * size_of(DType::bf16);
  bytes.ids = shape.sequences * sizeof(std::uint32_t);
  bytes.logits = shape.sequences * (config.vocab_size / parts) * size_of(DType::bf16);
  bytes.tops = parts * shape.sequences * sizeof(TopToken);
  if (slices > 1) bytes.own_tops = shape.sequences * sizeof(TopToken);
  if (shape.kv != DType::bf16 && shape.chunk > 0) {
    bytes.wide_kept = shape.capacity * kv_cols * size_of(DType::bf16);
  }
  if (widens && rows > kFewRows) bytes.wide_weight = largest_weight(config, parts);
  bytes.kept = shape.sequences * shape.capacity * kv_cols * size_of(shape.kv);
  return bytes;
}

DecoderMemory decoder_memory(const ModelConfig& config, const std::optional<Recipe>& recipe,
                             const DecoderShape& shape, int slices, const Device& device) {
  const std::vector<WeightShard> shards = layer_shards(config, 0, slices, 0);
  const bool widens = recipe && recipe->input == Recipe::Input::bf16;
  const DecoderBytes bytes = decoder_bytes(config, shape, slices, widens);
  const std::uint64_t rows = linears_of(shards).rows;
  // Row maxima, and those of all slices; for a moment of the embedding and the head.
  const std::uint64_t maxima =
      sizeof(float) *
      std::max(rows * (1 + static_cast<std::uint64_t>(slices)), 2 * config.vocab_size + 1);
  DecoderMemory memory;
  memory.weights =
      layer_bytes(config, recipe, shards) * config.num_hidden_layers + ends_bytes(config, slices);
  memory.loading = maxima + (recipe ? bytes_of(shards) : 0);
  memory.cache = 2 * bytes.kept * config.num_hidden_layers;
  memory.workspace = bytes.total();
  memory.runtime = runtime_bytes({.tensor = slices}, device);
  return memory;
}

std::size_t longest_prompt(const ModelConfig& config, const std::optional<Recipe>& recipe,
                           const DecoderShape& shape, int slices, const Device& device) {
  const auto fits = [&](std::size_t capacity) {
    DecoderShape one = shape;
    one.capacity = capacity;
    one.chunk = std::min(shape.chunk, capacity);
    return decoder_memory(config, recipe, one, slices, device).total() <= device.budget;
  };
  std::size_t longest = 0;  // fits, or is 0
  std::size_t too_long = config.max_position_embeddings + 1;
  while (longest + 1 < too_long) {
    const std::size_t middle = longest + (too_long - longest) / 2;
    (fits(middle) ? longest : too_long) = middle;
  }
  return longest;
}

}  // namespace fp8cal
