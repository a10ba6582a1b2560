#include "jobs/error.hpp"
#include "jobs/quantization_config.hpp"

namespace fp8cal {
namespace {

using nlohmann::json;
using Input = Recipe::Input;

constexpr const char* kCompressedTensors = "compressed-tensors";
constexpr const char* kModelOpt = "modelopt";

/// QuantizationArgs of compressed-tensors: symmetric E4M3.
json e4m3_args(const char* strategy, bool dynamic) {
  return {{"num_bits", 8},
          {"type", "float"},
          {"symmetric", true},
          {"strategy", strategy},
          {"dynamic", dynamic}};
}

json input_args(Input input) {
  switch (input) {
    case Input::per_tensor:
      return e4m3_args("tensor", false);
    case Input::per_token:
      return e4m3_args("token", true);
    case Input::bf16:
      break;
  }
  return nullptr;
}

json compressed_tensors_config(const Recipe& recipe) {
  json group = {{"targets", json::array({"Linear"})},
                {"weights", e4m3_args(recipe.weight_per_channel ? "channel" : "tensor", false)},
                {"input_activations", input_args(recipe.input)},
                {"output_activations", nullptr}};
  json kv;
  if (recipe.kv) kv = e4m3_args(recipe.kv->per_head ? "attn_head" : "tensor", false);
  return {{"quant_method", kCompressedTensors},
          // By the library's own rule the latter wants quantized inputs; the bytes are the same.
          {"format", recipe.input == Input::bf16 ? "naive-quantized" : "float-quantized"},
          {"quantization_status", "compressed"},
          {"global_compression_ratio", nullptr},
          {"ignore", json::array({"lm_head"})},
          {"kv_cache_scheme", kv},
          {"config_groups", {{"group_0", group}}}};
}

/// Readers take a file as ModelOpt's by this name, so it marks the format, not who wrote it.
json modelopt_producer() {
  return {{"name", "modelopt"}, {"version", "0.47.0"}, {"written_by", "fp8cal"}};
}

const char* modelopt_algorithm(const Recipe& recipe) {
  return recipe.input == Input::per_tensor ? "FP8" : "FP8_PER_CHANNEL_PER_TOKEN";
}

json modelopt_config(const Recipe& recipe) {
  const json args = {{"dynamic", false}, {"num_bits", 8}, {"type", "float"}};
  json config = {{"quant_method", kModelOpt},
                 {"quant_algo", modelopt_algorithm(recipe)},
                 {"ignore", json::array({"lm_head"})},
                 {"producer", modelopt_producer()}};
  if (recipe.kv) config["kv_cache_scheme"] = args;
  if (recipe.input == Input::per_tensor) {
    config["config_groups"]["group_0"] = {
        {"input_activations", args}, {"weights", args}, {"targets", json::array({"Linear"})}};
  }
  return config;
}

}  // namespace

CheckpointFormat parse_checkpoint_format(const std::string& text) {
  for (const auto format : {CheckpointFormat::compressed_tensors, CheckpointFormat::modelopt}) {
    if (text == name_of(format)) return format;
  }
  throw InputError("checkpoint format", "unknown format", "compressed-tensors or modelopt",
                   "'" + text + "'");
}

std::string name_of(CheckpointFormat format) {
  return format == CheckpointFormat::modelopt ? kModelOpt : kCompressedTensors;
}

void check_expressible(CheckpointFormat format, const Recipe& recipe) {
  const auto refuse = [&](const std::string& expected) {
    throw InputError(name_of(format) + " checkpoint", "the format cannot express the recipe",
                     expected, recipe.name);
  };
  if (recipe.kv && recipe.kv->format == Fp8Format::e5m2) {
    refuse("BF16 or E4M3 keys and values");
  }
  if (format == CheckpointFormat::compressed_tensors) return;
  const bool is_static = recipe.input == Input::per_tensor && !recipe.weight_per_channel;
  const bool is_dynamic = recipe.input == Input::per_token && recipe.weight_per_channel;
  if (!is_static && !is_dynamic) refuse("fp8-static or fp8-dynamic");
  if (recipe.kv && recipe.kv->per_head) refuse("keys and values with a scale a tensor");
}

json quantization_config(CheckpointFormat format, const Recipe& recipe) {
  return format == CheckpointFormat::modelopt ? modelopt_config(recipe)
                                              : compressed_tensors_config(recipe);
}

json hf_quant_config(const Recipe& recipe) {
  return {{"producer", modelopt_producer()},
          {"quantization",
           {{"quant_algo", modelopt_algorithm(recipe)},
            {"kv_cache_quant_algo", recipe.kv ? json("FP8") : json()},
            {"exclude_modules", json::array({"lm_head"})}}}};
}

}  // namespace fp8cal
