#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kernels/float_formats.hpp"

namespace fp8cal {

/// What stands in a recipe's name between the linear layers and keys and values.
inline constexpr const char* kKvMark = "-kv-";

/// How a recipe keeps keys (after RoPE) and values: in FP8, by static scales.
struct KvFormat {
  Fp8Format format;
  bool per_head;  ///< one scale a KV head; else one a tensor

  friend bool operator==(const KvFormat&, const KvFormat&) = default;
};

/// How a recipe quantizes the linear layers, to E4M3, and keys and values; lm_head, embeddings and
/// norms stay BF16.
struct Recipe {
  enum class Input {
    per_tensor,  ///< one static scale a tensor
    per_token,   ///< a scale a token at run time
    bf16,        ///< not quantized: it meets the weights as BF16 numbers
  };

  std::string name;         ///< "fp8-static", "fp8-static-kv-e4m3", "fp8-static-kv-e5m2-head", ...
  bool weight_per_channel;  ///< one scale an output row; else one a tensor
  Input input;
  std::optional<KvFormat> kv;  ///< none: keys and values stay BF16
};

/// Throws InputError that lists the known names.
Recipe find_recipe(const std::string& name);

/// The names of `recipes` that say nothing of keys and values.
std::vector<std::string> recipe_names();

/// What scales.kv may be: "none", "e4m3", "e5m2", "e4m3-head", "e5m2-head".
const std::vector<std::string>& kv_names();

/// Each of `recipes` with each of `kv`: "fp8-static" with "none" and "e4m3" gives "fp8-static" and
/// "fp8-static-kv-e4m3".
std::vector<std::string> combine(const std::vector<std::string>& recipes,
                                 const std::vector<std::string>& kv);

}  // namespace fp8cal
