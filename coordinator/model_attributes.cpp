#include "coordinator/model_attributes.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>

namespace fp8cal {
namespace {

constexpr const char* kPrefix = "model.";

std::string shown(const Attributes& attributes, const std::string& key) {
  const auto found = attributes.find(key);
  if (found == attributes.end()) return "none";
  return std::visit([](const auto& value) { return fmt::format("{}", value); }, found->second);
}

}  // namespace

Attributes model_attributes(const ModelConfig& config) {
  Attributes all;
  const auto whole = [&](const char* name, std::size_t value) {
    all[std::string(kPrefix) + name] = static_cast<std::int64_t>(value);
  };
  whole("vocab_size", config.vocab_size);
  whole("hidden_size", config.hidden_size);
  whole("intermediate_size", config.intermediate_size);
  whole("num_hidden_layers", config.num_hidden_layers);
  whole("num_attention_heads", config.num_attention_heads);
  whole("num_key_value_heads", config.num_key_value_heads);
  whole("head_dim", config.head_dim);
  whole("tie_word_embeddings", config.tie_word_embeddings ? 1 : 0);
  all["model.rms_norm_eps"] = config.rms_norm_eps;
  all["model.rope_theta"] = config.rope_theta;
  all["model.rope_type"] = config.rope_scaling ? "llama3" : "default";
  if (!config.rope_scaling) return all;
  const Llama3RopeScaling& rope = *config.rope_scaling;
  all["model.rope_scaling.factor"] = rope.factor;
  all["model.rope_scaling.low_freq_factor"] = rope.low_freq_factor;
  all["model.rope_scaling.high_freq_factor"] = rope.high_freq_factor;
  all["model.rope_scaling.original_max_position_embeddings"] =
      rope.original_max_position_embeddings;
  return all;
}

void expect_same_model(const ModelConfig& config, const Attributes& job, const std::string& where) {
  const Attributes own = model_attributes(config);
  std::set<std::string> keys;
  for (const Attributes* side : {&own, &job}) {
    for (const auto& [key, value] : *side) {
      if (key.starts_with(kPrefix)) keys.insert(key);
    }
  }
  for (const std::string& key : keys) {
    const auto here = own.find(key);
    const auto there = job.find(key);
    if (here != own.end() && there != job.end() && here->second == there->second) continue;
    throw InputError(where, "not the model of the result: " + key, shown(job, key),
                     shown(own, key));
  }
}

ModelConfig model_shape(const Attributes& job, const std::string& where) {
  constexpr std::int64_t kMost = std::int64_t{1} << 20;  // as in a config.json
  const auto size = [&](const char* name) {
    const std::string key = std::string(kPrefix) + name;
    const std::int64_t value = job_attribute<std::int64_t>(job, key, where);
    if (value >= 1 && value <= kMost) return static_cast<std::size_t>(value);
    throw InputError(where, "attribute /job/" + key, fmt::format("1 to {}", kMost),
                     fmt::to_string(value));
  };
  ModelConfig config;
  config.hidden_size = size("hidden_size");
  config.intermediate_size = size("intermediate_size");
  config.num_hidden_layers = size("num_hidden_layers");
  config.num_attention_heads = size("num_attention_heads");
  config.num_key_value_heads = size("num_key_value_heads");
  config.head_dim = size("head_dim");
  return config;
}

}  // namespace fp8cal
