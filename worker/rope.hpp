#pragma once

#include <cstdint>
#include <vector>

#include "jobs/model_config.hpp"

namespace fp8cal {

/// Cosines and sines of rotary position embedding, rounded to bf16.
struct RopeTable {
  std::size_t half = 0;               ///< head_dim / 2
  std::vector<std::uint16_t> cosine;  ///< [positions, half] bf16
  std::vector<std::uint16_t> sine;    ///< [positions, half] bf16
};

/// Inverse frequencies [head_dim / 2] in f32: theta^(-2i / head_dim), and for rope_type "llama3"
/// the long wavelengths stretched by `factor` with a smooth passage between, as Hugging Face
/// transformers' _compute_llama3_parameters does.
std::vector<float> inverse_frequencies(const ModelConfig& config);

RopeTable make_rope_table(const ModelConfig& config, std::size_t positions);

}  // namespace fp8cal
