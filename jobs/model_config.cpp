#include "jobs/model_config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "jobs/error.hpp"
#include "jobs/json.hpp"
#include "jobs/quantization_config.hpp"

namespace fp8cal {
namespace {

using nlohmann::json;

constexpr std::uint64_t kMaxConfigBytes = 1 << 20;
constexpr std::size_t kMaxPositions = std::size_t{1} << 27;
// Where config.json has no rope_theta: LlamaConfig of transformers.
constexpr double kDefaultRopeTheta = 10000.0;

/// config.json spells "not given" as null or by leaving the key out.
bool is_given(const json& object, const std::string& key) {
  return object.contains(key) && !object.at(key).is_null();
}

/// Throws where `key` is given and is not `value`, the only one that fp8cal computes.
void allow_only(const json& config, const std::string& key, const json& value,
                const std::string& where) {
  if (is_given(config, key) && config.at(key) != value) {
    throw InputError(where, key, shown(value), shown(config.at(key)));
  }
}

void check_architecture(const json& config, const std::string& where) {
  const json& architectures = require_array(config, "architectures", where);
  if (architectures != json::array({"LlamaForCausalLM"})) {
    throw InputError(where, "architectures", "[\"LlamaForCausalLM\"]",
                     architectures.size() == 1 ? shown(architectures[0]) : shown(architectures));
  }
  const std::string& model_type = require_string(config, "model_type", where);
  if (model_type != "llama") throw InputError(where, "model_type", "llama", in_quotes(model_type));
}

void check_options(const json& config, const std::string& where) {
  allow_only(config, "attention_bias", false, where);
  allow_only(config, "mlp_bias", false, where);
  allow_only(config, "hidden_act", "silu", where);
  allow_only(config, "pretraining_tp", 1, where);
  allow_only(config, "partial_rotary_factor", 1.0, where);
  allow_only(config, "use_sliding_window", false, where);
  for (const char* key : {"compression_config", "sliding_window"}) {
    if (is_given(config, key)) throw InputError(where, key, "none", shown(config.at(key)));
  }
}

void read_sizes(const json& config, const std::string& where, ModelConfig& model) {
  const auto size = [&](const char* key, std::uint64_t max) -> std::size_t {
    return require_unsigned(config, key, where, 1, max);
  };
  model.vocab_size = size("vocab_size", std::uint64_t{1} << 22);
  model.hidden_size = size("hidden_size", std::uint64_t{1} << 17);
  model.intermediate_size = size("intermediate_size", std::uint64_t{1} << 20);
  model.num_hidden_layers = size("num_hidden_layers", 1024);
  model.num_attention_heads = size("num_attention_heads", 1024);
  model.max_position_embeddings = size("max_position_embeddings", kMaxPositions);
  model.num_key_value_heads = is_given(config, "num_key_value_heads")
                                  ? size("num_key_value_heads", 1024)
                                  : model.num_attention_heads;
  if (model.num_attention_heads % model.num_key_value_heads != 0) {
    throw InputError(where, "num_key_value_heads",
                     fmt::format("a divisor of the {} attention heads", model.num_attention_heads),
                     std::to_string(model.num_key_value_heads));
  }
  if (is_given(config, "head_dim")) {
    model.head_dim = size("head_dim", 1024);
  } else if (model.hidden_size % model.num_attention_heads == 0) {
    model.head_dim = model.hidden_size / model.num_attention_heads;
  } else {
    throw InputError(
        where, "hidden_size",
        fmt::format("a multiple of the {} attention heads, or head_dim", model.num_attention_heads),
        std::to_string(model.hidden_size));
  }
  if (model.head_dim % 2 != 0 || model.head_dim > 1024) {
    throw InputError(where, "head_dim", "an even number up to 1024",
                     std::to_string(model.head_dim));
  }
}

/// The object that describes RoPE: "rope_parameters" since transformers 5, "rope_scaling" before;
/// null where there is none.
const json& rope_object(const json& config, const std::string& where) {
  static const json none;
  const bool is_new = is_given(config, "rope_parameters");
  const bool is_old = is_given(config, "rope_scaling");
  if (is_new && is_old && config.at("rope_parameters") != config.at("rope_scaling")) {
    throw InputError(where, "rope_parameters and rope_scaling", "one of them, or equal",
                     "both, and they differ");
  }
  if (is_new) return require_object(config, "rope_parameters", where);
  if (is_old) return require_object(config, "rope_scaling", where);
  return none;
}

/// "default" where the object only gives rope_theta. "type" is the older name of "rope_type".
std::string rope_type_of(const json& rope, const std::string& where) {
  const bool has_old_name = is_given(rope, "type");
  if (!has_old_name && rope.size() == rope.count("rope_theta")) return "default";
  const std::string& type = require_string(rope, has_old_name ? "type" : "rope_type", where);
  if (has_old_name) allow_only(rope, "rope_type", type, where);
  return type;
}

void check_rope_keys(const json& rope, const std::string& where) {
  constexpr std::array<std::string_view, 8> kKnown = {
      "type",   "rope_type",       "rope_theta",       "partial_rotary_factor",
      "factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"};
  for (const auto& [key, value] : rope.items()) {
    if (std::find(kKnown.begin(), kKnown.end(), key) == kKnown.end()) {
      throw InputError(where, "key", "a parameter of rope_type default or llama3", in_quotes(key));
    }
  }
  allow_only(rope, "partial_rotary_factor", 1.0, where);
}

Llama3RopeScaling read_llama3_scaling(const json& rope, const std::string& where) {
  Llama3RopeScaling scaling;
  scaling.factor = require_number(rope, "factor", where, 1, 1e6);
  scaling.low_freq_factor = require_number(rope, "low_freq_factor", where, 1e-6, 1e6);
  scaling.high_freq_factor = require_number(rope, "high_freq_factor", where, 1e-6, 1e6);
  scaling.original_max_position_embeddings = static_cast<double>(
      require_unsigned(rope, "original_max_position_embeddings", where, 1, kMaxPositions));
  if (scaling.high_freq_factor <= scaling.low_freq_factor) {
    throw InputError(where, "high_freq_factor",
                     fmt::format("more than low_freq_factor {}", scaling.low_freq_factor),
                     fmt::format("{}", scaling.high_freq_factor));
  }
  return scaling;
}

double read_theta(const json& config, const json& rope, const std::string& where) {
  const bool is_inside = rope.is_object() && is_given(rope, "rope_theta");
  if (!is_inside && !is_given(config, "rope_theta")) return kDefaultRopeTheta;
  if (is_inside) allow_only(config, "rope_theta", rope.at("rope_theta"), where);
  return require_number(is_inside ? rope : config, "rope_theta", where, 1, 1e15);
}

void read_rope(const json& config, const std::string& where, ModelConfig& model) {
  const json& rope = rope_object(config, where);
  model.rope_theta = read_theta(config, rope, where);
  if (rope.is_null()) return;
  const std::string place =
      where + (is_given(config, "rope_parameters") ? ": rope_parameters" : ": rope_scaling");
  const std::string type = rope_type_of(rope, place);
  if (type != "default" && type != "llama3") {
    throw InputError(place, "rope_type", "default or llama3", in_quotes(type));
  }
  check_rope_keys(rope, place);
  if (type == "llama3") model.rope_scaling = read_llama3_scaling(rope, place);
}

}  // namespace

ModelConfig read_model_config(const std::filesystem::path& folder) {
  return read_model_config_file(folder / "config.json");
}

ModelConfig read_model_config_file(const std::filesystem::path& path) {
  const std::string where = path.string();
  const json config = read_json_file(path, kMaxConfigBytes);
  check_architecture(config, where);
  check_options(config, where);
  ModelConfig model;
  read_sizes(config, where, model);
  model.rms_norm_eps = require_number(config, "rms_norm_eps", where, 1e-30, 1);
  read_rope(config, where, model);
  // Where not given: false, as LlamaConfig of transformers has it.
  model.tie_word_embeddings =
      is_given(config, "tie_word_embeddings") && require_bool(config, "tie_word_embeddings", where);
  model.stored_recipe = read_quantization_config(config, where);
  return model;
}

}  // namespace fp8cal
