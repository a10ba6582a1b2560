#include "coordinator/result_builder.hpp"

#include <fmt/format.h>

#include "jobs/sha256.hpp"
#include "sharding/weight_shards.hpp"

namespace fp8cal {
namespace {

std::string tokens_sha256(const TokenWindows& windows) {
  return to_hex(sha256(std::as_bytes(std::span(windows.tokens))));
}

void add_config(Attributes& job, const ModelConfig& config) {
  const auto whole = [&](const char* name, std::size_t value) {
    job[std::string("model.") + name] = static_cast<std::int64_t>(value);
  };
  whole("vocab_size", config.vocab_size);
  whole("hidden_size", config.hidden_size);
  whole("intermediate_size", config.intermediate_size);
  whole("num_hidden_layers", config.num_hidden_layers);
  whole("num_attention_heads", config.num_attention_heads);
  whole("num_key_value_heads", config.num_key_value_heads);
  whole("head_dim", config.head_dim);
  whole("tie_word_embeddings", config.tie_word_embeddings ? 1 : 0);
  job["model.rms_norm_eps"] = config.rms_norm_eps;
  job["model.rope_theta"] = config.rope_theta;
  job["model.rope_type"] = config.rope_scaling ? "llama3" : "default";
  if (!config.rope_scaling) return;
  job["model.rope_scaling.factor"] = config.rope_scaling->factor;
  job["model.rope_scaling.low_freq_factor"] = config.rope_scaling->low_freq_factor;
  job["model.rope_scaling.high_freq_factor"] = config.rope_scaling->high_freq_factor;
  job["model.rope_scaling.original_max_position_embeddings"] =
      config.rope_scaling->original_max_position_embeddings;
}

}  // namespace

Attributes describe_job(const Job& job, const Inputs& inputs, const Backend& backend,
                        const std::string& weights_format, const std::string& weights_digest) {
  Attributes all = {
      {"numerics", fmt::format("{}-{}", backend.name(), kNumericsVersion)},
      {"weights_format", weights_format},
      {"weights_digest", weights_digest},
      {"tokenizer_sha256", inputs.tokenizer_sha256},
      {"calibration_tokens_sha256", tokens_sha256(inputs.calibration)},
      {"evaluation_tokens_sha256", tokens_sha256(inputs.evaluation)},
      {"calibration.samples", static_cast<std::int64_t>(inputs.calibration.windows())},
      {"calibration.sequence_length",
       static_cast<std::int64_t>(inputs.calibration.sequence_length)},
      {"calibration.seed", static_cast<std::int64_t>(job.calibration.seed)},
      {"scales.recipe", job.scales.recipes},
      {"scales.policy", job.scales.policy},
      {"evaluation.windows", static_cast<std::int64_t>(inputs.evaluation.windows())},
      {"evaluation.sequence_length", static_cast<std::int64_t>(inputs.evaluation.sequence_length)},
  };
  // Absent where they are native, as in every result from before there was another way.
  if (backend.fp8_products() == Fp8Products::dequantized) all["fp8_products"] = "dequantized";
  add_config(all, inputs.config);
  return all;
}

void add_statistics(Result& result, const LayerStatistics& statistics) {
  const auto name = [&](const char* rest) { return layer_module(statistics.layer, rest); };
  static constexpr const char* kModules[kSites] = {"self_attn.q_proj", "self_attn.o_proj",
                                                   "mlp.gate_proj",    "mlp.down_proj",
                                                   "self_attn.k",      "self_attn.v"};
  for (std::size_t s = 0; s < kSites; ++s) {
    result.activations[name(kModules[s])] = statistics.activations[s];
  }
  // Modules that read one input: stored once.
  result.activation_aliases[name("self_attn.k_proj")] = name("self_attn.q_proj");
  result.activation_aliases[name("self_attn.v_proj")] = name("self_attn.q_proj");
  result.activation_aliases[name("mlp.up_proj")] = name("mlp.gate_proj");
  for (std::size_t m = 0; m < kLinearModules; ++m) {
    result.weights[layer_module(statistics.layer, linear_modules()[m])] = statistics.weights[m];
  }
}

void add_scales(Result& result, const std::string& recipe, std::size_t layer,
                const LayerScales& scales) {
  for (std::size_t m = 0; m < kLinearModules; ++m) {
    result.scales[recipe][layer_module(layer, linear_modules()[m])] = scales[m];
  }
}

}  // namespace fp8cal
