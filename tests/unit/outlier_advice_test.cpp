#include "coordinator/scales/outlier_advice.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "coordinator/scales/tensor_diagnostics.hpp"

namespace fp8cal {
namespace {

constexpr std::size_t kTokens = 2000;
constexpr std::size_t kChannels = 128;
constexpr std::size_t kPlanted = 63;

/// Normally distributed, the planted channel times `factor` in every `period`-th token.
struct Tensor {
  explicit Tensor(float factor, std::size_t period = 1)
      : histogram(32768), channel_amax(kChannels) {
    std::mt19937 draw(11);
    std::normal_distribution<float> normal(0.0f, 1.0f);
    for (std::size_t t = 0; t < kTokens; ++t) {
      for (std::size_t c = 0; c < kChannels; ++c) {
        const bool planted = c == kPlanted && t % period == 0;
        const float x = round_to_bf16(std::fabs(normal(draw)) * (planted ? factor : 1.0f));
        ++histogram[float_to_bf16(x)];
        channel_amax[c] = std::max(channel_amax[c], x);
      }
    }
  }

  std::optional<OutlierAdvice> advice(const ScalePolicy& policy = {}) const {
    const Distribution distribution(histogram);
    const float magnitude = distribution.clipping_magnitude(policy, Fp8Format::e4m3);
    return advise_on_outliers("m", distribution, channel_amax, magnitude / 448.0f, Fp8Format::e4m3);
  }

  std::vector<std::uint64_t> histogram;
  std::vector<float> channel_amax;
};

TEST(OutlierAdvice, IsSilentWhereExponentsSuffice) {
  EXPECT_FALSE(Tensor(1.0f).advice());
  EXPECT_FALSE(Tensor(0x1p6f).advice());
  EXPECT_FALSE(Tensor(0x1p12f).advice());  // the edge of the subnormals: 0.8 dB
}

TEST(OutlierAdvice, NamesTheChannelThatCostsTheOthers) {
  double before = 6;
  for (float factor : {0x1p14f, 0x1p16f, 0x1p20f}) {
    const auto advice = Tensor(factor).advice();
    ASSERT_TRUE(advice) << factor;
    EXPECT_EQ(advice->module, "m");
    ASSERT_EQ(advice->channels.size(), 1u);
    EXPECT_EQ(advice->channels[0].channel, kPlanted);
    EXPECT_GT(advice->cost_db, before);
    EXPECT_EQ(advice->cure, Cure::keep_bf16);  // it stands out in every token
    before = advice->cost_db;
  }
  // The others are all zero: what is lost is the ratio that they would have.
  const Tensor ordinary(1.0f);
  const Distribution distribution(ordinary.histogram);
  const float scale = distribution.clipping_magnitude({}, Fp8Format::e4m3) / 448.0f;
  EXPECT_NEAR(before, sqnr_db(quantization_error(distribution, scale, Fp8Format::e4m3)), 0.5);
}

TEST(OutlierAdvice, CostIsThatOfTheOrdinaryElementsByHand) {
  // Of three channels of 1.0, 1.0 and 2^20: at scale 2^20 / 448 a 1.0 is lost whole, an error of 1;
  // at 1 / 448 it is exact but for the scale's rounding.
  std::vector<std::uint64_t> histogram(32768);
  histogram[float_to_bf16(1.0f)] = 2000;
  histogram[float_to_bf16(0x1p20f)] = 1000;
  const std::vector<float> channel_amax = {1.0f, 1.0f, 0x1p20f};
  const auto advice = advise_on_outliers("m", Distribution(histogram), channel_amax,
                                         0x1p20f / 448.0f, Fp8Format::e4m3);
  ASSERT_TRUE(advice);
  const double off = 1.0 - 448.0 * static_cast<double>(1.0f / 448.0f);
  EXPECT_NEAR(advice->cost_db, 10 * std::log10(1.0 / (off * off)), 1e-6);
}

TEST(OutlierAdvice, FewTokensWantAScaleEach) {
  const auto cure = [](std::size_t period) {
    const auto advice = Tensor(0x1p18f, period).advice();
    return advice ? advice->cure : Cure::mse_policy;
  };
  EXPECT_EQ(cure(500), Cure::scale_per_token);
  EXPECT_EQ(cure(11), Cure::scale_per_token);
  EXPECT_EQ(cure(9), Cure::keep_bf16);
}

TEST(OutlierAdvice, AClippingPolicyMayBeTheCause) {
  const Tensor planted(0x1p16f);
  const auto advice = planted.advice({.kind = ScalePolicy::Kind::percentile, .percent = 50});
  ASSERT_TRUE(advice);
  EXPECT_EQ(advice->cure, Cure::mse_policy);
  EXPECT_GT(advice->mse_gain_db, 20);
}

TEST(OutlierAdvice, HasNothingToCompareWithWhereHalfIsSilent) {
  std::vector<std::uint64_t> histogram(32768);
  histogram[float_to_bf16(1.0f)] = 1;
  histogram[0] = 2;
  const std::vector<float> channel_amax = {0.0f, 0.0f, 1.0f};
  const Distribution distribution(histogram);
  EXPECT_FALSE(advise_on_outliers("m", distribution, channel_amax, 1.0f, Fp8Format::e4m3));
  EXPECT_FALSE(advise_on_outliers("m", distribution, {}, 1.0f, Fp8Format::e4m3));
}

TEST(OutlierAdvice, IsOneLine) {
  const OutlierAdvice advice = {.module = "model.layers.1.mlp.down_proj",
                                .channels = {{"", 7, 4096.0f, 4096.0f},
                                             {"", 9, 100.0f, 100.0f},
                                             {"", 1, 90.0f, 90.0f},
                                             {"", 2, 80.0f, 80.0f}},
                                .cost_db = 12.34,
                                .cure = Cure::scale_per_token};
  EXPECT_EQ(to_text(advice),
            "model.layers.1.mlp.down_proj: outlier channels 7 (4096 x the median), 9 (100 x the "
            "median), 1 (90 x the median) and 1 more: the others lose 12.3 dB in few tokens: "
            "recipe fp8-dynamic would help");
  EXPECT_EQ(to_text({.module = "m",
                     .channels = {{"", 7, 1.0f, 65536.0f}},
                     .mse_gain_db = 20.04,
                     .cure = Cure::mse_policy}),
            "m: outlier channel 7 (65536 x the median): scales.policy = mse would gain 20.0 dB");
}

}  // namespace
}  // namespace fp8cal
