#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "jobs/recipe.hpp"

namespace fp8cal {

/// How an FP8 checkpoint says what it holds, and names its scales.
enum class CheckpointFormat {
  compressed_tensors,  ///< github.com/vllm-project/compressed-tensors: vLLM, SGLang, transformers
  modelopt,            ///< NVIDIA ModelOpt's unified Hugging Face checkpoint: TensorRT-LLM, vLLM
};

/// "compressed-tensors" or "modelopt"; throws InputError for another text.
CheckpointFormat parse_checkpoint_format(const std::string& text);
std::string name_of(CheckpointFormat format);

/// Throws InputError where `format` has no form for what `recipe` computes.
void check_expressible(CheckpointFormat format, const Recipe& recipe);

/// The value of "quantization_config" in the config.json of a checkpoint of `recipe`: keys that
/// compressed-tensors 0.6 (0.15 for scales a KV head) to 0.20, or ModelOpt's readers, accept.
nlohmann::json quantization_config(CheckpointFormat format, const Recipe& recipe);

/// What hf_quant_config.json of the modelopt format holds.
nlohmann::json hf_quant_config(const Recipe& recipe);

/// The recipe that the checkpoint with this config.json was quantized by; none where it says
/// nothing of quantization. Takes what fp8cal, llm-compressor and ModelOpt write. Throws InputError
/// naming `where` and the key for everything that is not one of the recipes.
std::optional<Recipe> read_quantization_config(const nlohmann::json& config,
                                               const std::string& where);

}  // namespace fp8cal
