#include "jobs/quantization_config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "jobs/error.hpp"
#include "tests/unit/error_text.hpp"

namespace fp8cal {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

constexpr CheckpointFormat kFormats[] = {CheckpointFormat::compressed_tensors,
                                         CheckpointFormat::modelopt};

json config_with(const json& quantization) {
  return {{"model_type", "llama"}, {"quantization_config", quantization}};
}

std::string recipe_of(const json& quantization) {
  return read_quantization_config(config_with(quantization), "config.json").value().name;
}

std::string refusal(const json& quantization) {
  return error_text([&] { recipe_of(quantization); });
}

json good() {
  return quantization_config(CheckpointFormat::compressed_tensors, find_recipe("fp8-static"));
}

TEST(QuantizationConfig, EveryRecipeComesBackOrIsRefused) {
  int written = 0;
  for (const CheckpointFormat format : kFormats) {
    for (const std::string& name : combine(recipe_names(), kv_names())) {
      const Recipe recipe = find_recipe(name);
      try {
        check_expressible(format, recipe);
      } catch (const InputError& error) {
        EXPECT_THAT(error.what(), AllOf(HasSubstr(name_of(format)), HasSubstr(name)));
        continue;
      }
      EXPECT_EQ(recipe_of(quantization_config(format, recipe)), name);
      ++written;
    }
  }
  // 4 recipes with none, e4m3, e4m3-head; 2 recipes with none, e4m3.
  EXPECT_EQ(written, 4 * 3 + 2 * 2);
}

TEST(QuantizationConfig, CompressedTensorsWritesWhatItsReadersKnow) {
  EXPECT_EQ(quantization_config(CheckpointFormat::compressed_tensors,
                                find_recipe("fp8-dynamic-kv-e4m3-head")),
            json::parse(R"({
      "quant_method": "compressed-tensors", "format": "float-quantized",
      "quantization_status": "compressed", "global_compression_ratio": null,
      "ignore": ["lm_head"],
      "kv_cache_scheme": {"num_bits": 8, "type": "float", "symmetric": true,
                          "strategy": "attn_head", "dynamic": false},
      "config_groups": {"group_0": {
        "targets": ["Linear"],
        "weights": {"num_bits": 8, "type": "float", "symmetric": true, "strategy": "channel",
                    "dynamic": false},
        "input_activations": {"num_bits": 8, "type": "float", "symmetric": true,
                              "strategy": "token", "dynamic": true},
        "output_activations": null}}})"));
}

TEST(QuantizationConfig, ModelOptWritesWhatItsReadersKnow) {
  const Recipe recipe = find_recipe("fp8-static-kv-e4m3");
  EXPECT_EQ(quantization_config(CheckpointFormat::modelopt, recipe), json::parse(R"({
      "quant_method": "modelopt", "quant_algo": "FP8", "ignore": ["lm_head"],
      "kv_cache_scheme": {"dynamic": false, "num_bits": 8, "type": "float"},
      "producer": {"name": "modelopt", "version": "0.47.0", "written_by": "fp8cal"},
      "config_groups": {"group_0": {
        "input_activations": {"dynamic": false, "num_bits": 8, "type": "float"},
        "weights": {"dynamic": false, "num_bits": 8, "type": "float"},
        "targets": ["Linear"]}}})"));
  EXPECT_EQ(hf_quant_config(recipe).at("quantization"), json::parse(R"({
      "quant_algo": "FP8", "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head"]})"));
  EXPECT_EQ(hf_quant_config(find_recipe("fp8-dynamic")).at("quantization"), json::parse(R"({
      "quant_algo": "FP8_PER_CHANNEL_PER_TOKEN", "kv_cache_quant_algo": null,
      "exclude_modules": ["lm_head"]})"));
}

TEST(QuantizationConfig, ReadsWhatLlmCompressorWrites) {
  EXPECT_EQ(recipe_of(json::parse(R"({
      "config_groups": {"group_0": {
        "format": "float-quantized",
        "input_activations": {"actorder": null, "block_structure": null, "dynamic": true,
          "group_size": null, "num_bits": 8, "observer": null, "observer_kwargs": {},
          "scale_dtype": null, "strategy": "token", "symmetric": true, "type": "float",
          "zp_dtype": null},
        "output_activations": null, "targets": ["Linear"],
        "weights": {"actorder": null, "block_structure": null, "dynamic": false,
          "group_size": null, "num_bits": 8, "observer": "minmax", "observer_kwargs": {},
          "scale_dtype": null, "strategy": "channel", "symmetric": true, "type": "float",
          "zp_dtype": "torch.float8_e4m3fn"}}},
      "format": "float-quantized", "global_compression_ratio": null, "ignore": ["lm_head"],
      "kv_cache_scheme": null, "quant_method": "compressed-tensors",
      "quantization_status": "compressed", "sparsity_config": {}, "transform_config": {},
      "version": "0.12.2"})")),
            "fp8-dynamic");
  EXPECT_EQ(recipe_of(json::parse(R"({
      "config_groups": {"group_0": {
        "input_activations": {"block_structure": null, "dynamic": false, "group_size": null,
          "num_bits": 8, "observer": "minmax", "observer_kwargs": {}, "strategy": "tensor",
          "symmetric": true, "type": "float"},
        "output_activations": null, "targets": ["Linear"],
        "weights": {"block_structure": null, "dynamic": false, "group_size": null, "num_bits": 8,
          "observer": "minmax", "observer_kwargs": {}, "strategy": "tensor", "symmetric": true,
          "type": "float"}}},
      "format": "naive-quantized", "global_compression_ratio": 1.24, "ignore": ["lm_head"],
      "kv_cache_scheme": {"block_structure": null, "dynamic": false, "group_size": null,
          "num_bits": 8, "observer": "minmax", "observer_kwargs": {}, "strategy": "tensor",
          "symmetric": true, "type": "float"},
      "quant_method": "compressed-tensors", "quantization_status": "frozen",
      "sparsity_config": {"format": "dense", "global_sparsity": 0.14, "ignore": [],
          "sparsity_structure": "unstructured", "targets": []}})")),
            "fp8-static-kv-e4m3");
}

TEST(QuantizationConfig, IsNoneOfAnUnquantizedModel) {
  EXPECT_FALSE(read_quantization_config(json::object(), "c").has_value());
  EXPECT_FALSE(read_quantization_config(config_with(nullptr), "c").has_value());
}

TEST(QuantizationConfig, RefusesWhatIsNotARecipe) {
  const auto changed = [](const char* pointer, const json& value) {
    json config = good();
    config[json::json_pointer(pointer)] = value;
    return refusal(config);
  };
  const std::string weights = "/config_groups/group_0/weights";
  const auto weight = [&](const char* key, const json& value) {
    return changed((weights + "/" + key).c_str(), value);
  };
  EXPECT_THAT(weight("num_bits", 4), HasSubstr("num_bits: expected 8, found 4"));
  EXPECT_THAT(weight("num_bits", "8"), HasSubstr("num_bits: expected 8, found \"8\""));
  EXPECT_THAT(weight("num_bits", nullptr), HasSubstr("num_bits: expected 8, found none"));
  EXPECT_THAT(weight("type", "int"), HasSubstr("type: expected \"float\", found \"int\""));
  EXPECT_THAT(weight("symmetric", false), HasSubstr("symmetric: expected true, found false"));
  EXPECT_THAT(weight("group_size", 128), HasSubstr("group_size: expected null, found 128"));
  EXPECT_THAT(weight("block_structure", json::array({128, 128})), HasSubstr("block_structure"));
  EXPECT_THAT(weight("strategy", "block"), HasSubstr("block static and tensor static"));
  EXPECT_THAT(weight("strategy", "channel\n"), HasSubstr("\\n"));
  EXPECT_THAT(weight("strategy", 1), HasSubstr("strategy"));
  EXPECT_THAT(weight("dynamic", "local"), HasSubstr("dynamic"));
  EXPECT_THAT(weight("dynamic", true), HasSubstr("tensor dynamic"));
  EXPECT_THAT(weight("rotation", 1), HasSubstr("\"rotation\""));
  EXPECT_THAT(changed("/config_groups/group_0/input_activations", nullptr),
              HasSubstr("tensor static and none"));
  EXPECT_THAT(changed("/config_groups/group_0/output_activations", json::object()),
              HasSubstr("output_activations"));
  EXPECT_THAT(changed("/config_groups/group_0/targets", json::array({"re:.*q_proj"})),
              HasSubstr("re:.*q_proj"));
  EXPECT_THAT(changed("/config_groups/group_1", json::object()), HasSubstr("one group"));
  EXPECT_THAT(changed("/config_groups", json::array()), HasSubstr("config_groups"));
  EXPECT_THAT(changed("/ignore", json::array()), HasSubstr("ignore"));
  EXPECT_THAT(changed("/ignore", json::array({"lm_head", "model.layers.0.mlp.up_proj"})),
              HasSubstr("ignore"));
  EXPECT_THAT(changed("/format", "pack-quantized"), HasSubstr("pack-quantized"));
  EXPECT_THAT(changed("/quantization_status", "initialized"), HasSubstr("initialized"));
  EXPECT_THAT(changed("/transform_config", json{{"r1", 1}}), HasSubstr("transform_config"));
  EXPECT_THAT(changed("/sparsity_config", json{{"format", "sparse-24"}}), HasSubstr("sparse-24"));
  EXPECT_THAT(changed("/kv_cache_scheme", json{{"num_bits", 8}, {"type", "float"}}),
              HasSubstr("strategy"));
  EXPECT_THAT(changed("/kv_cache_scheme/num_bits", 8), HasSubstr("type"));
  EXPECT_THAT(changed("/quant_method", "gptq"), HasSubstr("found \"gptq\""));
  EXPECT_THAT(changed("/quant_method", nullptr), HasSubstr("quant_method"));
  EXPECT_THAT(refusal(json::array()), HasSubstr("quantization_config"));
  EXPECT_THAT(refusal("fp8"), HasSubstr("quantization_config"));
}

TEST(QuantizationConfig, RefusesOtherModelOptAlgorithms) {
  json config = quantization_config(CheckpointFormat::modelopt, find_recipe("fp8-static"));
  config["quant_algo"] = "NVFP4";
  EXPECT_THAT(refusal(config), HasSubstr("found \"NVFP4\""));
  config["quant_algo"] = "FP8";
  config["config_groups"]["group_0"]["weights"]["num_bits"] = 4;
  EXPECT_THAT(refusal(config), HasSubstr("num_bits"));
}

TEST(CheckpointFormat, HasTwoNames) {
  for (const CheckpointFormat format : kFormats) {
    EXPECT_EQ(parse_checkpoint_format(name_of(format)), format);
  }
  EXPECT_THAT(error_text([] { parse_checkpoint_format("gguf"); }),
              HasSubstr("expected compressed-tensors or modelopt, found 'gguf'"));
}

}  // namespace
}  // namespace fp8cal
