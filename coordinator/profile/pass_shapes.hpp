#pragma once

#include <algorithm>
#include <optional>
#include <string>

#include "jobs/latency_profile.hpp"
#include "jobs/recipe.hpp"
#include "sharding/decoder_memory.hpp"

namespace fp8cal {

/// Most tokens of a prompt that are computed at once: enough for a GPU's products to be as fast as
/// they get.
inline constexpr std::size_t kPromptChunk = 8192;

/// Tokens whose likelihoods are compared in a DecodeCheck: one more goes in, and with it the
/// products of the full forward pass are not those of few rows.
inline constexpr std::size_t kCheckedTokens = 64;

/// kv: "bf16", "e4m3" or "e5m2".
inline DType kv_dtype(const std::string& kv) {
  if (kv == "e4m3") return DType::e4m3;
  return kv == "e5m2" ? DType::e5m2 : DType::bf16;
}

/// No recipe for "bf16".
inline std::optional<Recipe> recipe_of(const std::string& variant) {
  if (variant == "bf16") return std::nullopt;
  return find_recipe(variant);
}

/// What a decoder has room for that computes a prompt of `tokens`.
inline DecoderShape prompt_shape(std::size_t tokens, DType kv) {
  return {.sequences = 1, .capacity = tokens, .chunk = std::min(tokens, kPromptChunk), .kv = kv};
}

/// What a decoder has room for that is measured in this pass.
inline DecoderShape shape_of(const PassKey& key) {
  if (!key.decodes) return prompt_shape(key.tokens, kv_dtype(key.kv));
  return {.sequences = key.sequences, .capacity = key.tokens, .chunk = 0, .kv = kv_dtype(key.kv)};
}

}  // namespace fp8cal
