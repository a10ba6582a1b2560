#include "sharding/decoder_memory.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "cpu_test_support.hpp"
#include "nano_config.hpp"
#include "sharding/single_collectives.hpp"
#include "temp_folder.hpp"
#include "tiny_model.hpp"
#include "worker/decoder_model.hpp"

namespace fp8cal {
namespace {

std::optional<Recipe> recipe_of(const std::string& variant) {
  if (variant == "bf16") return {};
  return find_recipe(variant);
}

const char* const kVariants[] = {"bf16", "fp8-static", "fp8-channel", "fp8-dynamic",
                                 "fp8-weight-only"};

/// The peak of loading `variant` and, where the shape holds anything, of decoding.
std::uint64_t measured(const std::filesystem::path& folder, const std::string& variant,
                       const DecoderShape& shape) {
  const auto backend = make_cpu_backend(1);
  SingleCollectives slices(*backend);
  SilentProgress progress;
  const ModelConfig config = read_model_config(folder);
  const Checkpoint checkpoint = Checkpoint::open(folder);
  DecoderModel model(*backend, slices, {checkpoint, config, recipe_of(variant), {}, 1, progress});
  if (shape.kv != DType::bf16) model.keep_kv_in(shape.kv, {});
  Decoder decoder(*backend, slices, config, model.weights(), shape);
  const std::vector<std::uint32_t> prompt =
      random_ids(std::min<std::size_t>(shape.capacity, 100), config.vocab_size, 1);
  if (shape.chunk > 0) decoder.prefill(prompt);
  if (shape.sequences == 1) decoder.score(prompt, 1);
  decoder.set_positions(0);
  decoder.step();
  return backend->peak_memory_bytes();
}

TEST(DecoderMemory, IsPredicted) {
  TempFolder folder;
  nlohmann::json json = tiny_model_json();
  json["hidden_size"] = 256;
  json["intermediate_size"] = 768;
  json["num_key_value_heads"] = 4;
  json["head_dim"] = 64;
  json["vocab_size"] = 512;
  for (const bool tied : {false, true}) {
    json["tie_word_embeddings"] = tied;
    const std::filesystem::path model = folder.path() / (tied ? "tied" : "untied");
    write_tiny_model(model, json);
    const ModelConfig config = read_model_config(model);
    const DecoderShape shapes[] = {{.capacity = 1, .chunk = 1},  // loading takes most
                                   {.capacity = 200, .chunk = 100},
                                   {.capacity = 3000, .chunk = 10},
                                   {.sequences = 70, .capacity = 50}};
    for (const char* variant : kVariants) {
      for (DecoderShape shape : shapes) {
        for (const DType kv : {DType::bf16, DType::e4m3}) {
          shape.kv = kv;
          const std::uint64_t predicted =
              decoder_memory(config, recipe_of(variant), shape, 1, {}).total();
          const std::uint64_t peak = measured(model, variant, shape);
          EXPECT_GE(predicted, peak) << variant << ", capacity " << shape.capacity;
          EXPECT_LE(predicted, peak + peak / 100) << variant << ", capacity " << shape.capacity;
        }
      }
    }
  }
}

TEST(DecoderMemory, Fp8HalvesWeightsAndCache) {
  const ModelConfig config = nano_config();
  const DecoderShape shape = {.sequences = 4, .capacity = 100};
  const DecoderMemory bf16 = decoder_memory(config, {}, shape, 1, {});
  DecoderShape half = shape;
  half.kv = DType::e5m2;
  const DecoderMemory fp8 = decoder_memory(config, find_recipe("fp8-static"), half, 1, {});
  EXPECT_EQ(2 * fp8.cache, bf16.cache);
  EXPECT_EQ(bf16.cache, 4u * 2 * 4 * 100 * 256 * 2);
  EXPECT_LT(fp8.weights, bf16.weights);
  const DecoderMemory slice = decoder_memory(config, {}, shape, 2, {});
  EXPECT_EQ(2 * slice.cache, bf16.cache);
  EXPECT_GT(decoder_memory(config, {}, shape, 2, {.is_gpu = true}).runtime, 0u);
}

TEST(DecoderMemory, LongestPromptFitsAndNoLonger) {
  ModelConfig config = nano_config();
  config.max_position_embeddings = 100000;
  const DecoderShape shape = {.chunk = 512, .kv = DType::e4m3};
  Device device = {.budget = 20 << 20};
  const std::size_t longest = longest_prompt(config, {}, shape, 1, device);
  EXPECT_GT(longest, 512u);
  const auto needs = [&](std::size_t capacity) {
    return decoder_memory(config, {}, {1, capacity, 512, DType::e4m3}, 1, device).total();
  };
  EXPECT_LE(needs(longest), device.budget);
  EXPECT_GT(needs(longest + 1), device.budget);
  device.budget = std::uint64_t{1} << 40;
  EXPECT_EQ(longest_prompt(config, {}, shape, 1, device), 100000u);
  device.budget = 1000;
  EXPECT_EQ(longest_prompt(config, {}, shape, 1, device), 0u);
}

}  // namespace
}  // namespace fp8cal
