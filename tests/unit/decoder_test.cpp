#include "worker/decoder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "cpu_test_support.hpp"
#include "sharding/single_collectives.hpp"
#include "temp_folder.hpp"
#include "tiny_model.hpp"
#include "worker/amax_scales.hpp"
#include "worker/decoder_model.hpp"
#include "worker/llama.hpp"

namespace fp8cal {
namespace {

/// Beyond what multiply_few takes, so that products of many rows are tried too.
constexpr std::size_t kLength = 80;

std::vector<ModuleScales> attention_scales(bool per_head) {
  if (per_head) return {{{}, {}, {0.01f, 0.02f}, {0.3f, 0.004f}}, {{}, {}, {0.5f, 0.1f}, {1, 2}}};
  return {{{}, {}, {0.01f}, {0.3f}}, {{}, {}, {0.5f}, {0.1f}}};
}

class DecoderTest : public testing::Test {
 protected:
  DecoderTest() {
    write_tiny_model(folder_.path());
    config_ = read_model_config(folder_.path());
    checkpoint_ = Checkpoint::open(folder_.path());
  }

  std::unique_ptr<DecoderModel> model(const std::string& variant,
                                      const std::vector<LayerScales>& scales = {}) {
    SilentProgress progress;
    std::optional<Recipe> recipe;
    if (variant != "bf16") recipe = find_recipe(variant);
    return std::make_unique<DecoderModel>(
        *backend_, slices_, DecoderSource{*checkpoint_, config_, recipe, scales, 1, progress});
  }

  /// The negative log-likelihood of all but the first of `ids`, by the full forward pass.
  std::vector<float> full_pass(const std::string& recipe, DType kv,
                               const std::vector<ModuleScales>& attention,
                               const std::vector<std::uint32_t>& ids);

  TempFolder folder_;
  ModelConfig config_;
  std::optional<Checkpoint> checkpoint_;
  std::unique_ptr<Backend> backend_ = make_cpu_backend(2);
  SingleCollectives slices_{*backend_};
};

std::vector<float> DecoderTest::full_pass(const std::string& variant, DType kv,
                                          const std::vector<ModuleScales>& attention,
                                          const std::vector<std::uint32_t>& ids) {
  const auto ends = model("bf16");
  std::vector<std::unique_ptr<QuantizedLayer>> quantized;
  std::vector<Layer> layers(ends->weights().layers.begin(), ends->weights().layers.end());
  for (std::size_t i = 0; i < layers.size() && variant != "bf16"; ++i) {
    const Recipe recipe = find_recipe(variant);
    LayerWeights stored(*backend_, config_, i, 1, 0);
    for (const ShardTarget& target : stored.targets()) {
      read_shard_rows(*checkpoint_, target.shard, target.shard.rows,
                      {static_cast<std::byte*>(target.into.data), target.shard.bytes()});
    }
    stored.measure(*backend_);
    quantized.push_back(std::make_unique<QuantizedLayer>(*backend_, layers[i], recipe,
                                                         amax_scales(recipe, stored.statistics()),
                                                         1, 0, QuantizedLayer::Purpose::evaluate));
    layers[i] = quantized.back()->layer();
  }
  std::vector<const Layer*> pointers;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (kv != DType::bf16) {
      const ModuleScales& own = attention[i];
      layers[i].kv = {
          kv, {own.k_scale.data(), own.k_scale.size()}, {own.v_scale.data(), own.v_scale.size()}};
    }
    pointers.push_back(&layers[i]);
  }
  const Workload work = {.evaluation_windows = 1, .evaluation_length = ids.size(), .microbatch = 1};
  Llama llama(*backend_, slices_, config_, work);
  TestMatrix x(DType::bf16, ids.size(), config_.hidden_size);
  llama.embed(ids.data(), ends->weights().embedding, x);
  llama.run(pointers, x, ids.size(), nullptr);
  std::vector<std::uint32_t> targets(ids.begin() + 1, ids.end());
  targets.push_back(kNoTarget);
  std::vector<float> nll(ids.size());
  llama.score({x, {}, ends->weights().final_norm, ends->weights().head, targets.data()}, ids.size(),
              {nll.data(), nullptr, nullptr});
  nll.pop_back();
  return nll;
}

TEST_F(DecoderTest, ScoresAsTheFullForwardPass) {
  const std::vector<std::uint32_t> ids = random_ids(kLength, config_.vocab_size, 1);
  for (const char* variant :
       {"bf16", "fp8-static", "fp8-channel", "fp8-dynamic", "fp8-weight-only"}) {
    const auto weights = model(variant);
    for (const DType kv : {DType::bf16, DType::e4m3, DType::e5m2}) {
      for (const bool per_head : {false, true}) {
        if (kv == DType::bf16 && per_head) continue;
        const std::vector<ModuleScales> attention = attention_scales(per_head);
        const std::vector<float> expected = full_pass(variant, kv, attention, ids);
        if (kv != DType::bf16) weights->keep_kv_in(kv, attention);
        Decoder decoder(*backend_, slices_, config_, weights->weights(),
                        {.capacity = kLength, .chunk = kLength, .kv = kv});
        for (const std::size_t at_once : {std::size_t{1}, std::size_t{7}, kLength}) {
          EXPECT_EQ(decoder.score(ids, at_once), expected)
              << variant << ", keys and values " << static_cast<int>(kv) << ", per head "
              << per_head << ", at once " << at_once;
        }
      }
    }
  }
}

TEST_F(DecoderTest, VariantsAndCachesDiffer) {
  const std::vector<std::uint32_t> ids = random_ids(20, config_.vocab_size, 2);
  std::vector<std::vector<float>> all;
  for (const char* variant : {"bf16", "fp8-static", "fp8-dynamic", "fp8-weight-only"}) {
    for (const DType kv : {DType::bf16, DType::e4m3, DType::e5m2}) {
      const auto weights = model(variant);
      if (kv != DType::bf16) weights->keep_kv_in(kv, attention_scales(false));
      Decoder decoder(*backend_, slices_, config_, weights->weights(), {.capacity = 20, .kv = kv});
      all.push_back(decoder.score(ids, 1));
    }
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(std::count(all.begin(), all.end(), all[i]), 1) << i;
  }
}

TEST_F(DecoderTest, TakesGivenScales) {
  const Recipe recipe = find_recipe("fp8-static");
  std::vector<LayerScales> scales(2);
  for (LayerScales& layer : scales) {
    for (ModuleScales& module : layer.linear) module = {{0.01f}, {0.25f}, {}, {}};
  }
  const std::vector<std::uint32_t> ids = random_ids(20, config_.vocab_size, 2);
  const auto nll = [&](const std::vector<LayerScales>& given) {
    const auto weights = model("fp8-static", given);
    return Decoder(*backend_, slices_, config_, weights->weights(), {.capacity = 20}).score(ids, 1);
  };
  const std::vector<float> own = nll({});
  EXPECT_NE(nll(scales), own);
  scales.clear();
  EXPECT_EQ(nll(scales), own);
}

/// What prefill and `steps` steps choose.
std::vector<std::uint32_t> continuation(Backend& backend, Decoder& decoder,
                                        const std::vector<std::uint32_t>& prompt,
                                        std::size_t steps) {
  decoder.prefill(prompt);
  std::vector<std::uint32_t> chosen;
  for (std::size_t i = 0; i <= steps; ++i) {
    if (i > 0) decoder.step();
    chosen.emplace_back();
    backend.download(&chosen.back(), decoder.ids(), sizeof(std::uint32_t));
    std::uint32_t position = 0;
    backend.download(&position, decoder.positions(), sizeof position);
    EXPECT_EQ(position, prompt.size() + i);
  }
  return chosen;
}

TEST_F(DecoderTest, ChoosesTheMostLikelyTokens) {
  const auto weights = model("bf16");
  Decoder decoder(*backend_, slices_, config_, weights->weights(), {.capacity = 40, .chunk = 40});
  std::vector<std::uint32_t> text = random_ids(9, config_.vocab_size, 3);
  for (const std::uint32_t chosen : continuation(*backend_, decoder, text, 4)) {
    std::vector<float> nll;
    for (std::uint32_t id = 0; id < config_.vocab_size; ++id) {
      text.push_back(id);
      nll.push_back(decoder.score(text, 40).back());
      text.pop_back();
    }
    EXPECT_EQ(chosen, std::min_element(nll.begin(), nll.end()) - nll.begin());
    text.push_back(chosen);
  }
}

TEST_F(DecoderTest, ChunksOfAPromptDoNotMatter) {
  const std::vector<std::uint32_t> prompt = random_ids(70, config_.vocab_size, 4);
  for (const char* variant : {"bf16", "fp8-dynamic", "fp8-weight-only"}) {
    const auto weights = model(variant);
    for (const DType kv : {DType::bf16, DType::e5m2}) {
      if (kv != DType::bf16) weights->keep_kv_in(kv, attention_scales(true));
      std::vector<std::vector<std::uint32_t>> all;
      for (const std::size_t chunk : {1, 7, 70}) {
        Decoder decoder(*backend_, slices_, config_, weights->weights(),
                        {.capacity = 80, .chunk = chunk, .kv = kv});
        all.push_back(continuation(*backend_, decoder, prompt, 10));
      }
      EXPECT_EQ(all[0], all[2]) << variant;
      EXPECT_EQ(all[1], all[2]) << variant;
    }
  }
}

TEST_F(DecoderTest, SequencesOfABatchAreIndependent) {
  const std::vector<std::uint32_t> first = {5, 99, 17};
  const auto weights = model("fp8-dynamic");
  const auto decode = [&](std::span<const std::uint32_t> begin) {
    Decoder decoder(*backend_, slices_, config_, weights->weights(),
                    {.sequences = begin.size(), .capacity = 30});
    decoder.set_positions(10);  // what stands before is zero
    decoder.set_tokens(begin);
    const auto recording = backend_->record([&] { decoder.step(); });
    std::vector<std::vector<std::uint32_t>> chosen(begin.size());
    for (std::size_t i = 0; i < 20; ++i) {
      recording->replay();
      std::vector<std::uint32_t> ids(begin.size());
      backend_->download(ids.data(), decoder.ids(), 4 * ids.size());
      for (std::size_t s = 0; s < ids.size(); ++s) chosen[s].push_back(ids[s]);
    }
    return chosen;
  };
  const auto together = decode(first);
  EXPECT_NE(together[0], together[1]);
  for (std::size_t s = 0; s < first.size(); ++s) {
    EXPECT_EQ(decode({&first[s], 1}).front(), together[s]) << s;
  }
}

TEST_F(DecoderTest, RefusesWhatItHasNoRoomFor) {
  const auto weights = model("bf16");
  const auto decoder = [&](DecoderShape shape) {
    return Decoder(*backend_, slices_, config_, weights->weights(), shape);
  };
  Decoder one = decoder({.capacity = 8, .chunk = 4});
  const std::vector<std::uint32_t> nine(9), eight(8), two(2);
  EXPECT_EQ(shape_error([&] { one.prefill(eight); }), "nothing thrown");
  EXPECT_THAT(shape_error([&] { one.prefill(nine); }),
              testing::HasSubstr("1 to 8 tokens, found 9"));
  EXPECT_THAT(shape_error([&] { one.prefill({}); }), testing::HasSubstr("found 0"));
  EXPECT_THAT(shape_error([&] { one.score(nine, 1); }), testing::HasSubstr("found 9, 1"));
  EXPECT_THAT(shape_error([&] { one.score(eight, 5); }), testing::HasSubstr("found 8, 5"));
  EXPECT_THAT(shape_error([&] { one.set_tokens(two); }), testing::HasSubstr("expected 1, found 2"));
  EXPECT_TRUE(one.score({}, 1).empty());
  EXPECT_TRUE(one.score(std::span(two).first(1), 1).empty());
  Decoder batch = decoder({.sequences = 2, .capacity = 8});
  EXPECT_THAT(shape_error([&] { batch.prefill(two); }), testing::HasSubstr("found 2"));
  EXPECT_THAT(shape_error([&] { decoder({.sequences = 2, .capacity = 8, .chunk = 1}); }),
              testing::HasSubstr("expected 1 sequence, found 2"));
  batch.set_positions(8);
  EXPECT_THAT(shape_error([&] { batch.step(); }), testing::HasSubstr("positions"));
}

}  // namespace
}  // namespace fp8cal
