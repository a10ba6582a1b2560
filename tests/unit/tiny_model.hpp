#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "jobs/checkpoint.hpp"
#include "jobs/model_config.hpp"
#include "kernels/float_formats.hpp"
#include "safetensors_builder.hpp"
#include "sharding/weight_shards.hpp"
#include "worker/progress.hpp"

namespace fp8cal {

class SilentProgress : public ProgressListener {
 public:
  void begin(const std::string&, const std::string&, std::size_t, std::size_t) override {}
  void advance(std::size_t) override {}
  void end() override {}
};

/// Two layers that can be cut in two, with two query heads to a KV head.
inline nlohmann::json tiny_model_json() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"vocab_size", 128},
          {"hidden_size", 64},
          {"intermediate_size", 96},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"head_dim", 16},
          {"max_position_embeddings", 256},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},
          {"tie_word_embeddings", false},
          {"torch_dtype", "bfloat16"}};
}

/// Writes config.json and random weights, large enough that tokens differ in likelihood.
inline void write_tiny_model(const std::filesystem::path& folder,
                             const nlohmann::json& json = tiny_model_json()) {
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "config.json") << json;
  const ModelConfig config = read_model_config(folder);
  std::mt19937 generator(7);
  std::normal_distribution<float> normal(0.0f, 0.2f);
  SafetensorsBuilder builder;
  const auto add = [&](const WeightShard& shard) {
    std::vector<std::uint16_t> values(shard.total_rows() * shard.cols());
    for (std::uint16_t& value : values) {
      value = float_to_bf16(shard.is_matrix() ? normal(generator) : 1.0f + normal(generator));
    }
    builder.add(shard.name, "BF16", shard.shape, values);
  };
  add(embedding_shard(config, 1, 0));
  for (std::size_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    for (const WeightShard& shard : layer_shards(config, layer, 1, 0)) add(shard);
  }
  add(final_norm_shard(config));
  if (!config.tie_word_embeddings) add(head_shard(config, 1, 0));
  const auto bytes = builder.bytes();
  std::ofstream(folder / "model.safetensors", std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

/// Ids below `vocabulary`.
inline std::vector<std::uint32_t> random_ids(std::size_t count, std::size_t vocabulary,
                                             unsigned seed) {
  std::mt19937 generator(seed);
  std::vector<std::uint32_t> ids(count);
  for (std::uint32_t& id : ids) id = static_cast<std::uint32_t>(generator() % vocabulary);
  return ids;
}

}  // namespace fp8cal
