#include "sharding/weight_shards.hpp"

namespace fp8cal {
namespace {

WeightShard matrix_shard(std::string name, std::size_t rows, std::size_t cols, int parts,
                         int index) {
  return {.name = std::move(name), .shape = {rows, cols}, .rows = share_of(rows, parts, index)};
}

WeightShard vector_shard(std::string name, std::size_t size) {
  return {.name = std::move(name), .shape = {size}, .rows = {0, 1}, .replicated = true};
}

}  // namespace

std::string layer_module(std::size_t layer, const std::string& rest) {
  return "model.layers." + std::to_string(layer) + "." + rest;
}

const std::vector<std::string>& linear_modules() {
  static const std::vector<std::string> modules = {
      "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
      "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};
  return modules;
}

std::vector<WeightShard> layer_shards(const ModelConfig& config, std::size_t layer, int parts,
                                      int index) {
  const std::size_t hidden = config.hidden_size;
  const std::size_t inner = config.intermediate_size;
  const auto matrix = [&](const char* module, std::size_t rows, std::size_t cols) {
    WeightShard shard =
        matrix_shard(layer_module(layer, module) + ".weight", rows, cols, parts, index);
    if (config.stored_recipe) shard.dtype = DType::e4m3;
    return shard;
  };
  const auto norm = [&](const char* module) {
    return vector_shard(layer_module(layer, module) + ".weight", hidden);
  };
  return {norm("input_layernorm"),
          matrix("self_attn.q_proj", config.q_rows(), hidden),
          matrix("self_attn.k_proj", config.kv_rows(), hidden),
          matrix("self_attn.v_proj", config.kv_rows(), hidden),
          matrix("self_attn.o_proj", hidden, config.q_rows()),
          norm("post_attention_layernorm"),
          matrix("mlp.gate_proj", inner, hidden),
          matrix("mlp.up_proj", inner, hidden),
          matrix("mlp.down_proj", hidden, inner)};
}

WeightShard embedding_shard(const ModelConfig& config, int parts, int index) {
  return matrix_shard("model.embed_tokens.weight", config.vocab_size, config.hidden_size, parts,
                      index);
}

WeightShard final_norm_shard(const ModelConfig& config) {
  return vector_shard("model.norm.weight", config.hidden_size);
}

WeightShard head_shard(const ModelConfig& config, int parts, int index) {
  if (config.tie_word_embeddings) return embedding_shard(config, parts, index);
  return matrix_shard("lm_head.weight", config.vocab_size, config.hidden_size, parts, index);
}

std::size_t bytes_of(const std::vector<WeightShard>& shards) {
  std::size_t bytes = 0;
  for (const WeightShard& shard : shards) bytes += shard.bytes();
  return bytes;
}

}  // namespace fp8cal
