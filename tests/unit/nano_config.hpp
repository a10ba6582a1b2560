#pragma once

#include "jobs/model_config.hpp"

namespace fp8cal {

/// The shape of the bundled model.
inline ModelConfig nano_config() {
  ModelConfig config;
  config.vocab_size = 1024;
  config.hidden_size = 128;
  config.intermediate_size = 384;
  config.num_hidden_layers = 4;
  config.num_attention_heads = 16;
  config.num_key_value_heads = 8;
  config.head_dim = 32;
  return config;
}

}  // namespace fp8cal
