#pragma once

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "coordinator/checkpoint/export.hpp"
#include "coordinator/model_attributes.hpp"
#include "coordinator/checkpoint/synthetic_checkpoint.hpp"
#include "jobs/checkpoint.hpp"
#include "jobs/weights_digest.hpp"
#include "kernels/float_formats.hpp"
#include "sharding/weight_shards.hpp"

namespace fp8cal {

class NoProgress : public ProgressListener {
 public:
  void begin(const std::string&, const std::string&, std::size_t, std::size_t) override {}
  void advance(std::size_t) override {}
  void end() override {}
};

/// Two layers whose matrices do not end with a block of 16 rows.
inline nlohmann::json small_model_json() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"vocab_size", 100},
          {"hidden_size", 40},
          {"intermediate_size", 72},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"head_dim", 10},
          {"max_position_embeddings", 64},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},
          {"torch_dtype", "float16"},
          {"_name_or_path", "someone/Small-1"}};
}

inline std::vector<std::uint16_t> read_weight(const Checkpoint& checkpoint,
                                              const WeightShard& shard) {
  std::vector<std::uint16_t> values(shard.total_rows() * shard.cols());
  checkpoint.read_rows(shard.name, 0, shard.total_rows(), values);
  return values;
}

inline float amax_of(std::span<const std::uint16_t> values) {
  float amax = 0;
  for (const std::uint16_t value : values) amax = std::max(amax, std::fabs(bf16_to_float(value)));
  return amax;
}

inline std::vector<WeightShard> all_weights(const ModelConfig& config) {
  std::vector<WeightShard> all = {embedding_shard(config, 1, 0), final_norm_shard(config)};
  if (!config.tie_word_embeddings) all.push_back(head_shard(config, 1, 0));
  for (std::size_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    for (const WeightShard& shard : layer_shards(config, layer, 1, 0)) all.push_back(shard);
  }
  return all;
}

inline std::string digest_of(const Checkpoint& checkpoint, const ModelConfig& config) {
  WeightLeaves leaves;
  for (const WeightShard& shard : all_weights(config)) {
    const std::vector<std::uint16_t> values = read_weight(checkpoint, shard);
    TensorLeaves& tensor = leaves[shard.name];
    tensor.shape = shard.shape;
    const std::size_t step = kDigestRows * shard.cols();
    for (std::size_t at = 0; at < values.size(); at += step) {
      const auto leaf = std::span(values).subspan(at, std::min(step, values.size() - at));
      tensor.leaves[at / step] = sha256(std::as_bytes(leaf));
    }
  }
  return weights_digest(leaves);
}

inline std::map<std::string, ModuleScales> amax_scales(const Checkpoint& checkpoint,
                                                       const ModelConfig& config,
                                                       const Recipe& recipe) {
  std::map<std::string, ModuleScales> scales;
  for (const WeightShard& shard : all_weights(config)) {
    if (!shard.is_matrix() || shard.name.find("proj") == shard.name.npos) continue;
    const std::vector<std::uint16_t> values = read_weight(checkpoint, shard);
    ModuleScales& one = scales[shard.name.substr(0, shard.name.rfind('.'))];
    const std::size_t step = recipe.weight_per_channel ? shard.cols() : values.size();
    for (std::size_t at = 0; at < values.size(); at += step) {
      one.weight_scale.push_back(scale_of(amax_of(std::span(values).subspan(at, step)), kE4M3Max));
    }
    if (recipe.input == Recipe::Input::per_tensor) one.input_scale = {0.25f};
  }
  for (std::size_t layer = 0; recipe.kv && layer < config.num_hidden_layers; ++layer) {
    const std::size_t count = recipe.kv->per_head ? config.num_key_value_heads : 1;
    ModuleScales& one = scales[layer_module(layer, kAttentionModule)];
    for (std::size_t head = 0; head < count; ++head) {
      one.k_scale.push_back(0.5f + static_cast<float>(head));
      one.v_scale.push_back(0.125f + static_cast<float>(layer));
    }
  }
  return scales;
}

/// Makes a small model in `folder`. Collective.
inline void write_small_model(const std::filesystem::path& folder, const nlohmann::json& json,
                              const Control& control) {
  const std::filesystem::path config = folder.string() + ".json";
  if (control.rank() == 0) std::ofstream(config) << json;
  control.max(0);  // a barrier: the file is there
  NoProgress progress;
  write_synthetic_checkpoint({config, 5, folder}, 1, control, progress);
}

/// What a job on the model in `folder` would have found, for these recipes.
inline Result small_result(const std::filesystem::path& folder,
                           const std::vector<std::string>& recipes) {
  const ModelConfig config = read_model_config(folder);
  const Checkpoint checkpoint = Checkpoint::open(folder);
  Result result;
  result.job = model_attributes(config);
  result.job["calibration_tokens_sha256"] = std::string(64, 'c');
  result.job["weights_digest"] = digest_of(checkpoint, config);
  result.job["scales.policy"] = "amax";
  for (const std::string& recipe : recipes) {
    result.scales[recipe] = amax_scales(checkpoint, config, find_recipe(recipe));
  }
  return result;
}

/// File name -> bytes.
inline std::map<std::string, std::string> contents_of(const std::filesystem::path& folder) {
  std::map<std::string, std::string> contents;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path(), std::ios::binary);
    contents[entry.path().filename().string()] = {std::istreambuf_iterator<char>(file), {}};
  }
  return contents;
}

}  // namespace fp8cal
