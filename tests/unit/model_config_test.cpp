#include "jobs/model_config.hpp"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "jobs/quantization_config.hpp"
#include "tests/unit/error_text.hpp"
#include "tests/unit/temp_folder.hpp"
#include "tests/unit/test_data.hpp"

namespace fp8cal {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

const json kGood = json::parse(R"({
  "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 1024,
  "hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 4, "num_attention_heads": 8,
  "max_position_embeddings": 2048, "rms_norm_eps": 1e-05, "rope_theta": 500000.0})");

const json kLlama3 = json::parse(R"({
  "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
  "original_max_position_embeddings": 8192, "rope_type": "llama3"})");

/// kGood with the keys of `changes`, or without them where null, as JSON merge patch has it.
ModelConfig read(const json& changes = json::object(), const json& nulls = json::object()) {
  json config = kGood;
  config.merge_patch(changes);
  config.update(nulls);
  const TempFolder folder;
  folder.write("config.json", config.dump());
  return read_model_config(folder.path());
}

std::string read_error(const json& changes) {
  const std::string text = error_text([&] { read(changes); });
  EXPECT_THAT(text, HasSubstr("config.json: "));
  return text;
}

void expect_llama3(const ModelConfig& model) {
  ASSERT_TRUE(model.rope_scaling.has_value());
  EXPECT_EQ(model.rope_scaling->factor, 8.0);
  EXPECT_EQ(model.rope_scaling->low_freq_factor, 1.0);
  EXPECT_EQ(model.rope_scaling->high_freq_factor, 4.0);
  EXPECT_EQ(model.rope_scaling->original_max_position_embeddings, 8192.0);
  EXPECT_EQ(model.rope_theta, 500000.0);
}

TEST(ModelConfig, ReadsTheKeysAndTheirDefaults) {
  const ModelConfig model = read();
  EXPECT_EQ(model.vocab_size, 1024u);
  EXPECT_EQ(model.hidden_size, 128u);
  EXPECT_EQ(model.intermediate_size, 384u);
  EXPECT_EQ(model.num_hidden_layers, 4u);
  EXPECT_EQ(model.num_attention_heads, 8u);
  EXPECT_EQ(model.num_key_value_heads, 8u);
  EXPECT_EQ(model.head_dim, 16u);
  EXPECT_EQ(model.max_position_embeddings, 2048u);
  EXPECT_EQ(model.rms_norm_eps, 1e-5);
  EXPECT_EQ(model.rope_theta, 500000.0);
  EXPECT_FALSE(model.rope_scaling.has_value());
  EXPECT_FALSE(model.tie_word_embeddings);
}

TEST(ModelConfig, TakesNullAsNotGiven) {
  const ModelConfig model = read(json::object(), {{"head_dim", nullptr},
                                                  {"num_key_value_heads", nullptr},
                                                  {"rope_scaling", nullptr},
                                                  {"quantization_config", nullptr},
                                                  {"sliding_window", nullptr}});
  EXPECT_EQ(model.head_dim, 16u);
  EXPECT_EQ(model.num_key_value_heads, 8u);
  EXPECT_FALSE(model.rope_scaling.has_value());
}

TEST(ModelConfig, ReadsGivenHeadsAndTies) {
  const ModelConfig model =
      read({{"num_key_value_heads", 2}, {"head_dim", 32}, {"tie_word_embeddings", true}});
  EXPECT_EQ(model.q_rows(), 256u);
  EXPECT_EQ(model.kv_rows(), 64u);
  EXPECT_TRUE(model.tie_word_embeddings);
}

TEST(ModelConfig, ReadsEverySpellingOfRope) {
  expect_llama3(read({{"rope_scaling", kLlama3}}));
  json old_name = kLlama3;
  old_name.erase("rope_type");
  old_name["type"] = "llama3";
  expect_llama3(read({{"rope_scaling", old_name}}));
  json with_theta = kLlama3;
  with_theta["rope_theta"] = 500000;
  expect_llama3(read({{"rope_theta", nullptr}, {"rope_parameters", with_theta}}));
  expect_llama3(read({{"rope_parameters", with_theta}}));
  const ModelConfig plain =
      read({{"rope_theta", nullptr},
            {"rope_parameters", {{"rope_theta", 7.0}, {"rope_type", "default"}}}});
  EXPECT_EQ(plain.rope_theta, 7.0);
  EXPECT_FALSE(plain.rope_scaling.has_value());
  EXPECT_EQ(read({{"rope_theta", nullptr}, {"rope_parameters", {{"rope_theta", 7.0}}}}).rope_theta,
            7.0);
  EXPECT_EQ(read({{"rope_theta", nullptr}}).rope_theta, 10000.0);
}

TEST(ModelConfig, RefusesOtherRopes) {
  const auto rope_error = [](const char* key, const json& value) {
    json rope = kLlama3;
    rope[key] = value;
    return read_error({{"rope_scaling", rope}});
  };
  EXPECT_THAT(rope_error("rope_type", "yarn"),
              HasSubstr("rope_scaling: rope_type: expected default or llama3, found \"yarn\""));
  EXPECT_THAT(rope_error("type", "linear"), HasSubstr("rope_type"));
  EXPECT_THAT(rope_error("attention_factor", 2), HasSubstr("found \"attention_factor\""));
  EXPECT_THAT(rope_error("partial_rotary_factor", 0.5), HasSubstr("partial_rotary_factor"));
  EXPECT_THAT(rope_error("factor", 0.5), HasSubstr("factor: expected a number from 1"));
  EXPECT_THAT(rope_error("factor", "8"), HasSubstr("found \"8\""));
  EXPECT_THAT(rope_error("high_freq_factor", 1.0), HasSubstr("more than low_freq_factor 1"));
  EXPECT_THAT(rope_error("low_freq_factor", 0), HasSubstr("low_freq_factor"));
  EXPECT_THAT(rope_error("original_max_position_embeddings", 0), HasSubstr("found 0"));
  EXPECT_THAT(rope_error("rope_theta", 1e4), HasSubstr("rope_theta: expected 10000.0"));
  EXPECT_THAT(read_error({{"rope_scaling", {{"factor", 8.0}}}}), HasSubstr("rope_type"));
  EXPECT_THAT(read_error({{"rope_scaling", {{"rope_type", "llama3"}}}}), HasSubstr("factor"));
  EXPECT_THAT(read_error({{"rope_scaling", "llama3"}}), HasSubstr("an object"));
  EXPECT_THAT(
      read_error({{"rope_scaling", kLlama3}, {"rope_parameters", {{"rope_type", "default"}}}}),
      HasSubstr("rope_parameters and rope_scaling"));
}

TEST(ModelConfig, RefusesOtherArchitectures) {
  EXPECT_THAT(read_error({{"architectures", {"MistralForCausalLM"}}}),
              HasSubstr("architectures: expected [\"LlamaForCausalLM\"], found "
                        "\"MistralForCausalLM\""));
  EXPECT_THAT(read_error({{"architectures", {"LlamaForCausalLM", "X"}}}),
              HasSubstr("an array of 2"));
  EXPECT_THAT(read_error({{"architectures", json::array()}}), HasSubstr("an array of 0"));
  EXPECT_THAT(read_error({{"model_type", "mistral"}}),
              HasSubstr("model_type: expected llama, found \"mistral\""));
}

TEST(ModelConfig, KnowsHowWeightsAreStored) {
  for (const CheckpointFormat format :
       {CheckpointFormat::compressed_tensors, CheckpointFormat::modelopt}) {
    const Recipe recipe = find_recipe("fp8-dynamic-kv-e4m3");
    // Not as a patch, which would drop its nulls.
    const ModelConfig config =
        read(json::object(), {{"quantization_config", quantization_config(format, recipe)}});
    ASSERT_TRUE(config.stored_recipe);
    EXPECT_EQ(config.stored_recipe->name, recipe.name);
  }
  EXPECT_FALSE(read().stored_recipe);
  EXPECT_THAT(read_error({{"quantization_config", {{"bits", 4}}}}),
              HasSubstr("quantization_config: "));
}

TEST(ModelConfig, RefusesWhatIsNotComputed) {
  const std::pair<const char*, json> refused[] = {
      {"attention_bias", true},      {"mlp_bias", true},
      {"hidden_act", "gelu"},        {"pretraining_tp", 2},
      {"sliding_window", 4096},      {"compression_config", {{"bits", 4}}},
      {"partial_rotary_factor", 0.5}};
  for (const auto& [key, value] : refused) {
    EXPECT_THAT(read_error({{key, value}}), HasSubstr(std::string(key) + ": expected ")) << key;
  }
}

TEST(ModelConfig, NamesMissingKeys) {
  for (const auto& [key, value] : kGood.items()) {
    if (key == "rope_theta") continue;
    EXPECT_THAT(read_error({{key, nullptr}}), HasSubstr(key + ": expected the key, found none"));
  }
}

TEST(ModelConfig, BoundsSizes) {
  for (const char* key :
       {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
        "num_attention_heads", "num_key_value_heads", "head_dim", "max_position_embeddings"}) {
    for (const json& value : {json(0), json(-1), json(1e300), json(std::uint64_t{1} << 40),
                              json(128.0), json("128"), json(true)}) {
      EXPECT_THAT(read_error({{key, value}}), HasSubstr(std::string(key) + ": expected an integer"))
          << value;
    }
  }
}

TEST(ModelConfig, RefusesHeadsThatDoNotDivide) {
  EXPECT_THAT(
      read_error({{"num_key_value_heads", 3}}),
      HasSubstr("num_key_value_heads: expected a divisor of the 8 attention heads, found 3"));
  EXPECT_THAT(read_error({{"num_key_value_heads", 16}}), HasSubstr("found 16"));
  EXPECT_THAT(read_error({{"num_attention_heads", 3}}), HasSubstr("hidden_size"));
  EXPECT_THAT(read_error({{"head_dim", 15}}), HasSubstr("head_dim: expected an even number"));
  EXPECT_THAT(read_error({{"hidden_size", 120}}), HasSubstr("head_dim"));
}

TEST(ModelConfig, BoundsFloats) {
  for (const json& value : {json(0), json(-1e-5), json(2), json(1e-300), json("1e-5")}) {
    EXPECT_THAT(read_error({{"rms_norm_eps", value}}),
                HasSubstr("rms_norm_eps: expected a number"));
  }
  for (const json& value : {json(0), json(-1), json(1e300), json(true)}) {
    EXPECT_THAT(read_error({{"rope_theta", value}}), HasSubstr("rope_theta: expected a number"));
  }
}

TEST(ModelConfig, RefusesFilesThatAreNoObject) {
  const TempFolder folder;
  const auto error = [&] { return error_text([&] { read_model_config(folder.path()); }); };
  EXPECT_THAT(error(), HasSubstr("config.json"));
  folder.write("config.json", "[]");
  EXPECT_THAT(error(), HasSubstr("an object"));
  folder.write("config.json", "{");
  EXPECT_THAT(error(), HasSubstr("byte 1"));
  folder.write("config.json", std::string(2'000'000, ' '));
  EXPECT_THAT(error(), HasSubstr("file size"));
}

class Llama31Config : public testing::TestWithParam<const char*> {};

TEST_P(Llama31Config, IsRead) {
  FP8CAL_DATA_OR_SKIP();
  const bool is_70b = std::string(GetParam()) == "70b";
  const TempFolder folder;
  std::filesystem::copy_file(data_folder() / "llama31" / (std::string(GetParam()) + ".config.json"),
                             folder.path() / "config.json");
  const ModelConfig model = read_model_config(folder.path());
  EXPECT_EQ(model.vocab_size, 128256u);
  EXPECT_EQ(model.hidden_size, is_70b ? 8192u : 4096u);
  EXPECT_EQ(model.intermediate_size, is_70b ? 28672u : 14336u);
  EXPECT_EQ(model.num_hidden_layers, is_70b ? 80u : 32u);
  EXPECT_EQ(model.num_attention_heads, is_70b ? 64u : 32u);
  EXPECT_EQ(model.num_key_value_heads, 8u);
  EXPECT_EQ(model.head_dim, 128u);
  EXPECT_EQ(model.max_position_embeddings, 131072u);
  expect_llama3(model);
}

INSTANTIATE_TEST_SUITE_P(Sizes, Llama31Config, testing::Values("8b", "70b"));

TEST(ModelConfig, ReadsTheSmallModels) {
  FP8CAL_DATA_OR_SKIP();
  const ModelConfig nano = read_model_config(data_folder() / "models/nano-llama");
  EXPECT_EQ(nano.head_dim, 32u);
  EXPECT_EQ(nano.q_rows(), 512u);
  EXPECT_EQ(nano.hidden_size, 128u);
  const ModelConfig small = read_model_config(data_folder() / "models/small-llama");
  EXPECT_EQ(small.head_dim, 64u);
  EXPECT_EQ(small.kv_rows(), 512u);
  expect_llama3(small);
}

}  // namespace
}  // namespace fp8cal
