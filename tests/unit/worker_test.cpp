#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "jobs/weights_digest.hpp"
#include "kernels/float_formats.hpp"
#include "tests/unit/error_text.hpp"
#include "worker/layer_statistics.hpp"
#include "worker/rope.hpp"

namespace fp8cal {
namespace {

ModelConfig rope_config() {
  ModelConfig config;
  config.head_dim = 128;
  config.rope_theta = 500000.0;
  return config;
}

TEST(Rope, PlainFrequenciesFallGeometrically) {
  const std::vector<float> frequencies = inverse_frequencies(rope_config());
  ASSERT_EQ(frequencies.size(), 64u);
  EXPECT_EQ(frequencies[0], 1.0f);
  EXPECT_NEAR(frequencies[32], 1.0 / std::sqrt(500000.0), 1e-9);
}

TEST(Rope, Llama3StretchesLongWavelengthsOnly) {
  ModelConfig config = rope_config();
  const std::vector<float> plain = inverse_frequencies(config);
  config.rope_scaling = Llama3RopeScaling{8.0, 1.0, 4.0, 8192.0};
  const std::vector<float> scaled = inverse_frequencies(config);
  for (std::size_t i = 0; i < plain.size(); ++i) {
    const double wavelength = 2 * M_PI / plain[i];
    if (wavelength < 8192.0 / 4.0) {
      EXPECT_EQ(scaled[i], plain[i]) << i;
    } else if (wavelength > 8192.0) {
      EXPECT_EQ(scaled[i], plain[i] / 8.0f) << i;
    } else {
      EXPECT_LT(scaled[i], plain[i]) << i;
      EXPECT_GT(scaled[i], plain[i] / 8.0f) << i;
    }
  }
}

TEST(Rope, TableHoldsCosinesAndSinesInBf16) {
  const RopeTable table = make_rope_table(rope_config(), 3);
  ASSERT_EQ(table.half, 64u);
  ASSERT_EQ(table.cosine.size(), 3u * 64);
  EXPECT_EQ(bf16_to_float(table.cosine[0]), 1.0f);
  EXPECT_EQ(bf16_to_float(table.sine[0]), 0.0f);
  EXPECT_EQ(bf16_to_float(table.cosine[2 * 64]), round_to_bf16(std::cos(2.0f)));
  EXPECT_EQ(bf16_to_float(table.sine[2 * 64]), round_to_bf16(std::sin(2.0f)));
}

TEST(LayerStatistics, SurvivePacking) {
  LayerStatistics one;
  one.layer = 7;
  one.activations[1].histogram.assign(kHistogramSize, 0);
  one.activations[1].histogram[0] = 5;
  one.activations[1].histogram[kHistogramSize - 1] = std::uint64_t{1} << 40;
  one.sequence_amax[5] = {4.0f};
  one.weights[6].channel_amax = {5.0f, 6.0f};
  const std::string bytes = pack_statistics(one) + pack_statistics(one);
  Unpacker from(bytes);
  unpack_statistics(from);
  const LayerStatistics back = unpack_statistics(from);
  EXPECT_TRUE(from.done());
  EXPECT_EQ(back.layer, 7u);
  EXPECT_EQ(back.activations[1].histogram, one.activations[1].histogram);
  EXPECT_EQ(back.sequence_amax[5], one.sequence_amax[5]);
  EXPECT_EQ(back.weights[6].channel_amax, one.weights[6].channel_amax);
}

TEST(Packing, RefusesMessagesThatEndEarly) {
  const std::string bytes = pack_statistics(LayerStatistics());
  const std::string cut = bytes.substr(0, bytes.size() - 1);
  EXPECT_THAT(error_text([&] {
                Unpacker from(cut);
                unpack_statistics(from);
              }),
              testing::HasSubstr("ends early"));
}

Sha256Digest leaf(const std::string& text) { return sha256(std::as_bytes(std::span(text))); }

TEST(WeightsDigest, DoesNotDependOnWhoHashedWhat) {
  WeightLeaves whole, first, second, merged;
  whole["w"] = {{32, 4}, {{0, leaf("a")}, {1, leaf("b")}}};
  first["w"] = {{32, 4}, {{1, leaf("b")}}};
  second["w"] = {{32, 4}, {{0, leaf("a")}}};
  unpack_leaves(pack_leaves(first), merged);
  unpack_leaves(pack_leaves(second), merged);
  EXPECT_EQ(weights_digest(merged), weights_digest(whole));
}

TEST(WeightsDigest, ChangesWithNameShapeOrderAndContent) {
  const auto digest = [](const std::string& name, std::vector<std::uint64_t> shape, const char* one,
                         const char* two) {
    return weights_digest({{name, {std::move(shape), {{0, leaf(one)}, {1, leaf(two)}}}}});
  };
  const std::string plain = digest("w", {32, 4}, "a", "b");
  EXPECT_NE(plain, digest("v", {32, 4}, "a", "b"));
  EXPECT_NE(plain, digest("w", {31, 4}, "a", "b"));
  EXPECT_NE(plain, digest("w", {32, 4}, "b", "a"));
  EXPECT_NE(plain, digest("w", {32, 4}, "a", "c"));
}

TEST(WeightsDigest, RefusesMissingLeaves) {
  const WeightLeaves missing = {{"w", {{33, 4}, {{0, leaf("a")}, {1, leaf("b")}}}}};
  EXPECT_THAT(error_text([&] { weights_digest(missing); }),
              testing::HasSubstr("w: weights digest: expected 3 row blocks, found 2"));
}

}  // namespace
}  // namespace fp8cal
