#include "worker/shard_loader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <optional>

#include "jobs/error.hpp"
#include "kernels/float_formats.hpp"
#include "tests/unit/error_text.hpp"
#include "tests/unit/safetensors_builder.hpp"
#include "tests/unit/temp_folder.hpp"
#include "worker/layer_weights.hpp"
#include "worker/row_maxima.hpp"

namespace fp8cal {
namespace {

using Values = std::vector<std::uint16_t>;

/// "large" is cut into several blocks, "odd" ends within a leaf, "wide" has leaves above a block's
/// usual size, "norm" is a vector.
const std::map<std::string, std::vector<std::uint64_t>> kShapes = {
    {"large", {1000, 4096}}, {"norm", {4096}}, {"odd", {41, 24}}, {"wide", {40, 80000}}};

/// Small numbers, other ones in each tensor.
Values values_of(const std::string& name, std::size_t count) {
  Values values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = static_cast<std::uint16_t>((i * 2654435761u + name.front()) >> 3 & 0x3FFF);
  }
  return values;
}

class ShardLoaderTest : public testing::Test {
 protected:
  ShardLoaderTest() {
    SafetensorsBuilder builder;
    for (const auto& [name, shape] : kShapes) {
      std::size_t count = 1;
      for (const std::uint64_t size : shape) count *= size;
      values_[name] = values_of(name, count);
      builder.add(name, "BF16", shape, values_[name]);
    }
    file_ = folder_.write("model.safetensors", builder.bytes());
    checkpoint_ = Checkpoint::open(folder_.path());
    config_.hidden_size = 4096;
    config_.intermediate_size = 80000;
    config_.num_attention_heads = config_.num_key_value_heads = 1;
    config_.head_dim = 64;
  }

  std::unique_ptr<ShardLoader> loader(int threads) {
    return std::make_unique<ShardLoader>(*checkpoint_, *backend_, config_, plan_, rank_, threads);
  }

  /// Rows [first, first + count), into memory that holds other bytes before.
  ShardTarget target(const std::string& name, std::size_t first, std::size_t count) {
    WeightShard shard{.name = name, .shape = kShapes.at(name), .rows = {first, count}};
    shard.replicated = !shard.is_matrix();
    buffers_.push_back(backend_->allocate(shard.bytes()));
    std::memset(buffers_.back().data(), 0xAB, shard.bytes());
    return shard_at(buffers_.back().data(), std::move(shard));
  }
  ShardTarget whole(const std::string& name) {
    const std::vector<std::uint64_t>& shape = kShapes.at(name);
    return target(name, 0, shape.size() == 1 ? 1 : shape.front());
  }

  void expect_loaded(const ShardTarget& target) {
    const WeightShard& shard = target.shard;
    const std::uint16_t* expected = values_.at(shard.name).data() + shard.rows.first * shard.cols();
    EXPECT_EQ(std::memcmp(target.into.data, expected, shard.bytes()), 0) << shard.name;
  }

  Sha256Digest digest(const std::string& name, std::size_t leaf) {
    const std::size_t cols = kShapes.at(name).back();
    const std::span<const std::uint16_t> all = values_.at(name);
    const std::size_t first = leaf * 16 * cols;
    return sha256(std::as_bytes(all.subspan(first, std::min(16 * cols, all.size() - first))));
  }

  TempFolder folder_;
  std::filesystem::path file_;
  std::map<std::string, Values> values_;
  std::optional<Checkpoint> checkpoint_;
  std::unique_ptr<Backend> backend_ = make_backend({.name = "cpu"});
  ModelConfig config_;
  Plan plan_;
  RankPlan rank_;
  std::vector<Buffer> buffers_;
};

TEST_F(ShardLoaderTest, LoadsAndHashesWithAnyNumberOfThreads) {
  for (const int threads : {1, 2, 3, 16}) {
    const auto loader = this->loader(threads);
    const std::vector<ShardTarget> targets = {whole("norm"), whole("large"), whole("odd"),
                                              whole("wide")};
    loader->begin(targets);
    loader->wait(targets.size());
    for (const ShardTarget& target : targets) expect_loaded(target);
    const WeightLeaves& leaves = loader->leaves();
    ASSERT_EQ(leaves.size(), 4u);
    EXPECT_EQ(leaves.at("norm").leaves.size(), 1u);
    EXPECT_EQ(leaves.at("large").leaves.size(), 63u);
    EXPECT_EQ(leaves.at("odd").leaves.size(), 3u);
    EXPECT_EQ(leaves.at("wide").leaves.size(), 3u);
    for (const auto& [name, tensor] : leaves) {
      EXPECT_EQ(tensor.shape, kShapes.at(name));
      for (const auto& [leaf, found] : tensor.leaves) EXPECT_EQ(found, digest(name, leaf)) << name;
    }
  }
}

TEST_F(ShardLoaderTest, HandsOverShardsWhileOthersAreLoading) {
  const auto loader = this->loader(2);
  const std::vector<ShardTarget> targets = {whole("odd"), whole("large"), whole("norm")};
  loader->begin(targets);
  loader->wait(1);
  expect_loaded(targets[0]);
  EXPECT_EQ(loader->leaves().size(), 1u);
  loader->wait(2);
  expect_loaded(targets[1]);
  loader->wait(1);  // again
  loader->wait(3);
  expect_loaded(targets[2]);
  EXPECT_EQ(loader->leaves().size(), 3u);
}

TEST_F(ShardLoaderTest, FinishesOneBatchBeforeTheNext) {
  const auto loader = this->loader(3);
  const ShardTarget first = whole("large"), second = whole("odd");
  loader->begin({first});
  loader->begin({second});
  expect_loaded(first);
  loader->wait(1);
  expect_loaded(second);
  EXPECT_EQ(loader->leaves().size(), 2u);
}

TEST_F(ShardLoaderTest, AcceptsNothingAndEmptyShards) {
  const auto loader = this->loader(2);
  loader->wait(0);
  loader->begin({});
  loader->wait(0);
  const std::vector<ShardTarget> targets = {target("odd", 16, 0), whole("odd"),
                                            target("odd", 41, 0)};
  loader->begin(targets);
  loader->wait(1);
  loader->wait(3);
  expect_loaded(targets[1]);
}

TEST_F(ShardLoaderTest, SharesHashDisjointLeavesOfTheSameRows) {
  plan_.grid.sequences = 3;
  WeightLeaves merged;
  std::size_t hashed = 0;
  for (rank_.share = 0; rank_.share < 3; ++rank_.share) {
    const auto loader = this->loader(2);
    const std::vector<ShardTarget> targets = {whole("norm"), whole("large")};
    loader->begin(targets);
    loader->wait(2);
    for (const auto& [name, tensor] : loader->leaves()) hashed += tensor.leaves.size();
    unpack_leaves(pack_leaves(loader->leaves()), merged);
  }
  EXPECT_EQ(hashed, 64u);
  EXPECT_EQ(merged.at("norm").leaves.size(), 1u);
  EXPECT_EQ(merged.at("large").leaves.size(), 63u);
}

TEST_F(ShardLoaderTest, SlicesHashTheirRowsAndTheFirstOneTheNorms) {
  plan_.grid.tensor = 2;
  rank_.slice = 1;
  const auto loader = this->loader(2);
  const std::vector<ShardTarget> targets = {whole("norm"), target("large", 496, 504)};
  loader->begin(targets);
  loader->wait(2);
  expect_loaded(targets[1]);
  ASSERT_EQ(loader->leaves().size(), 1u);
  const auto& leaves = loader->leaves().at("large").leaves;
  ASSERT_EQ(leaves.size(), 32u);
  EXPECT_EQ(leaves.begin()->first, 31u);
  EXPECT_EQ(leaves.begin()->second, digest("large", 31));
  EXPECT_EQ(leaves.at(62), digest("large", 62));
}

TEST_F(ShardLoaderTest, RefusesATensorOfAnotherShapeAtOnce) {
  const auto loader = this->loader(1);
  ShardTarget wrong = whole("odd");
  wrong.shard.shape = {41, 25};
  EXPECT_THAT(error_text([&] { loader->begin({wrong}); }),
              testing::HasSubstr("expected [41, 25], found [41, 24]"));
  const ShardTarget right = whole("odd");
  loader->begin({right});
  loader->wait(1);
  expect_loaded(right);
}

TEST_F(ShardLoaderTest, RethrowsWhatHappenedInTheBackgroundAndGoesOnAfterIt) {
  for (const int threads : {1, 4}) {
    const auto loader = this->loader(threads);
    // Tensors lie in order of their names: the first half of "large" stays.
    std::filesystem::resize_file(file_, 4096 * 1000);
    const std::vector<ShardTarget> targets = {target("large", 0, 16), whole("large"), whole("odd")};
    loader->begin(targets);
    EXPECT_THAT(error_text([&] { loader->wait(3); }), testing::HasSubstr("file ended early"));
    const ShardTarget early = target("large", 16, 64);
    loader->begin({early});
    loader->wait(1);
    expect_loaded(early);
  }
}

TEST_F(ShardLoaderTest, EndsInTheMiddleOfALoad) {
  for (const int threads : {1, 4}) {
    std::vector<ShardTarget> targets;
    for (int i = 0; i < 64; ++i) targets.push_back(whole("large"));  // 0.5 GB
    auto loader = this->loader(threads);
    loader->begin(targets);
    loader->wait(1);
    loader.reset();
    expect_loaded(targets.front());
    EXPECT_EQ(*static_cast<const std::uint8_t*>(targets.back().into.data), 0xAB);
    buffers_.clear();  // nobody writes there any more
  }
}

TEST_F(ShardLoaderTest, MeasuresRowsAndRefusesNaNs) {
  const ShardTarget one = whole("odd"), other = target("odd", 16, 2);
  std::memset(one.into.data, 0, one.shard.bytes());
  std::memset(other.into.data, 0, other.shard.bytes());
  auto* values = static_cast<std::uint16_t*>(one.into.data);
  values[24 * 40 + 3] = float_to_bf16(-2.5f);
  values[24 * 39] = float_to_bf16(1.5f);
  const std::vector<ShardTarget> targets = {one, other};
  const std::vector<std::vector<float>> maxima = row_maxima(*backend_, targets);
  ASSERT_EQ(maxima.size(), 2u);
  ASSERT_EQ(maxima[0].size(), 41u);
  EXPECT_EQ(maxima[0][40], 2.5f);
  EXPECT_EQ(maxima[0][39], 1.5f);
  EXPECT_EQ(maxima[0][0], 0.0f);
  EXPECT_EQ(maxima[1], (std::vector<float>{0.0f, 0.0f}));

  static_cast<std::uint16_t*>(other.into.data)[24 + 5] = 0x7FC0;
  EXPECT_THAT(error_text([&] { row_maxima(*backend_, targets); }),
              testing::HasSubstr("tensor odd: row 17: expected finite weights, found nan"));
  EXPECT_TRUE(row_maxima(*backend_, {}).empty());
}

TEST_F(ShardLoaderTest, LayersNameWhatTheyNeed) {
  ModelConfig config;
  config.hidden_size = 64;
  config.intermediate_size = 96;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 16;
  LayerWeights layer(*backend_, config, 3, 1, 0);
  ASSERT_EQ(layer.targets().size(), 9u);
  EXPECT_EQ(layer.targets()[1].shard.name, "model.layers.3.self_attn.q_proj.weight");
  EXPECT_EQ(layer.layer().qkv.weight.rows, 64u + 32 + 32);
  EXPECT_EQ(layer.layer().qkv.weight.data, layer.targets()[1].into.data);
  for (const ShardTarget& target : layer.targets()) {
    for (std::size_t i = 0; i < target.shard.bytes() / 2; ++i) {
      static_cast<std::uint16_t*>(target.into.data)[i] = float_to_bf16(0.5f);
    }
  }
  layer.measure(*backend_);
  EXPECT_EQ(layer.statistics()[1].channel_amax, std::vector<float>(32, 0.5f));
  EXPECT_EQ(layer.statistics()[6].channel_amax, std::vector<float>(64, 0.5f));
}

}  // namespace
}  // namespace fp8cal
