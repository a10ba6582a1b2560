#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "jobs/recipe.hpp"

namespace fp8cal {

/// rope_type "llama3": Hugging Face transformers, modeling_rope_utils.py,
/// _compute_llama3_parameters.
struct Llama3RopeScaling {
  double factor = 0;
  double low_freq_factor = 0;
  double high_freq_factor = 0;
  double original_max_position_embeddings = 0;
};

/// The parts of a Llama checkpoint's config.json that determine its arithmetic.
struct ModelConfig {
  std::size_t vocab_size = 0;
  std::size_t hidden_size = 0;
  std::size_t intermediate_size = 0;
  std::size_t num_hidden_layers = 0;
  std::size_t num_attention_heads = 0;
  std::size_t num_key_value_heads = 0;  ///< num_attention_heads where not given
  std::size_t head_dim = 0;             ///< hidden_size / num_attention_heads where not given
  std::size_t max_position_embeddings = 0;
  double rms_norm_eps = 0;
  double rope_theta = 0;
  std::optional<Llama3RopeScaling> rope_scaling;  ///< none: plain RoPE
  bool tie_word_embeddings = false;
  /// How the checkpoint's linear weights are quantized already; none: they are BF16, F16 or F32.
  std::optional<Recipe> stored_recipe;

  std::size_t q_rows() const { return num_attention_heads * head_dim; }
  std::size_t kv_rows() const { return num_key_value_heads * head_dim; }
};

/// Reads `folder`/config.json. Throws InputError naming the key for anything but a Llama
/// architecture, and for any option that fp8cal does not compute (biases, other activations,
/// other rope types, sliding windows, quantization but by a Recipe, ...).
ModelConfig read_model_config(const std::filesystem::path& folder);

/// The same from a file of any name.
ModelConfig read_model_config_file(const std::filesystem::path& path);

}  // namespace fp8cal
