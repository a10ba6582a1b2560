#include "coordinator/profile/profile_answer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "coordinator/profile/pass_limits.hpp"
#include "tests/unit/sample_profile.hpp"

namespace fp8cal {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Kind = Crossover::Kind;

const FastestPrefill& first_token_of(const ProfileAnswer& answer, std::size_t prompt) {
  return *std::ranges::find(answer.prefill, prompt, &FastestPrefill::prompt);
}

const FastestTotal& total_of(const ProfileAnswer& answer, std::size_t prompt, std::size_t batch,
                             std::size_t output) {
  return *std::ranges::find_if(answer.totals, [&](const FastestTotal& one) {
    return one.prompt == prompt && one.batch == batch && one.output == output;
  });
}

Crossover crossover_in(const ProfileAnswer& answer, const Setting& setting, std::size_t prompt,
                       std::size_t batch) {
  return std::ranges::find_if(answer.crossovers,
                              [&](const SettingCrossover& one) {
                                return one.setting == setting && one.prompt == prompt &&
                                       one.batch == batch;
                              })
      ->crossover;
}

TEST(ProfileFigures, NameSettingsAsRecipes) {
  EXPECT_EQ((Setting{"bf16", "bf16"}).name(), "bf16");
  EXPECT_EQ((Setting{"bf16", "e5m2"}).name(), "bf16-kv-e5m2");
  EXPECT_EQ((Setting{"fp8-static", "e4m3"}).name(), "fp8-static-kv-e4m3");
}

TEST(ProfileFigures, InterpolateBetweenContextsAndNotBeyond) {
  const LatencyProfile profile = sample_profile();
  const ProfileFigures figures(profile);
  const Setting bf16 = {"bf16", "bf16"};
  EXPECT_EQ(figures.output_token(bf16, 1, 1), 0.004);
  EXPECT_EQ(figures.output_token(bf16, 1, 2048), 0.004);
  EXPECT_EQ(figures.output_token(bf16, 1, 32768), 0.008);
  EXPECT_EQ(figures.output_token(bf16, 1, 131072), 0.008);
  EXPECT_DOUBLE_EQ(*figures.output_token(bf16, 1, 2048 + 30720 / 4), 0.005);
}

TEST(ProfileFigures, DoNotGuessWhatDidNotFit) {
  const LatencyProfile profile = sample_profile();
  const ProfileFigures figures(profile);
  const Setting bf16 = {"bf16", "bf16"};
  EXPECT_EQ(figures.output_token(bf16, 8, 2048), 0.006);  // needs the first context alone
  EXPECT_EQ(figures.output_token(bf16, 8, 2049), std::nullopt);
  EXPECT_EQ(figures.output_token(bf16, 8, 40000), std::nullopt);
  EXPECT_EQ(figures.output_token(bf16, 2, 2048), std::nullopt);
  EXPECT_EQ(figures.output_token({"fp8-channel", "bf16"}, 1, 2048), std::nullopt);
}

TEST(ProfileAnswer, NamesTheLowestTimes) {
  const ProfileAnswer answer = answer_of(sample_profile());
  ASSERT_EQ(answer.prefill.size(), 2u);
  EXPECT_EQ(first_token_of(answer, 128).fastest.setting.name(), "bf16");
  EXPECT_EQ(first_token_of(answer, 128).fastest.gain, 1.0);
  EXPECT_EQ(first_token_of(answer, 8192).fastest.setting.name(), "fp8-static");
  EXPECT_DOUBLE_EQ(*first_token_of(answer, 8192).fastest.gain, 1.6);
  ASSERT_EQ(answer.decoding.size(), 4u);
  EXPECT_EQ(answer.decoding[0].fastest.setting.name(), "fp8-static");
  EXPECT_DOUBLE_EQ(*answer.decoding[0].fastest.gain, 2.0);
  // BF16 did not fit there.
  EXPECT_EQ(answer.decoding[3].context, 32768u);
  EXPECT_EQ(answer.decoding[3].fastest.gain, std::nullopt);
}

TEST(ProfileAnswer, AddsPromptsOneAfterAnotherAndTokens) {
  const ProfileAnswer answer = answer_of(sample_profile());
  // 8 prompts of 8 ms and a token of 6 ms, against 8 x 10 + 3.
  EXPECT_EQ(total_of(answer, 128, 8, 1).fastest.setting.name(), "bf16");
  EXPECT_DOUBLE_EQ(total_of(answer, 128, 8, 1).fastest.seconds, 0.070);
  EXPECT_EQ(total_of(answer, 128, 8, 32).fastest.setting.name(), "fp8-static");
  EXPECT_DOUBLE_EQ(total_of(answer, 128, 8, 32).fastest.seconds, 0.080 + 32 * 0.003);
  EXPECT_DOUBLE_EQ(*total_of(answer, 128, 8, 32).fastest.gain,
                   (0.064 + 32 * 0.006) / (0.080 + 32 * 0.003));
  // At 8192 tokens a context of 32768 is needed, too, and BF16 has none with 8 sequences.
  EXPECT_EQ(total_of(answer, 8192, 8, 32).fastest.gain, std::nullopt);
}

TEST(ProfileAnswer, SaysFromHowManyTokensOnFp8Wins) {
  const ProfileAnswer answer = answer_of(sample_profile());
  const Setting fp8 = {"fp8-static", "bf16"};
  // 2 ms behind at first, 2 ms a token ahead: equal after one.
  EXPECT_EQ(crossover_in(answer, fp8, 128, 1), (Crossover{Kind::from, 2}));
  EXPECT_EQ(crossover_in(answer, fp8, 8192, 1).kind, Kind::always);
  EXPECT_EQ(crossover_in(answer, fp8, 8192, 8).kind, Kind::unknown);  // BF16 did not fit
  EXPECT_EQ(crossover_in(answer, {"fp8-dynamic", "bf16"}, 128, 8).kind, Kind::unknown);
  EXPECT_EQ(answer.crossovers.size(), 2u * 2 * 2);
}

/// What counting says up to `most` tokens.
Crossover counted(const Pace& a, const Pace& b, std::size_t batch, std::uint64_t most) {
  std::vector<bool> faster;
  for (std::uint64_t n = 1; n <= most; ++n) {
    faster.push_back(batch * a.first_token + static_cast<double>(n) * a.output_token <
                     batch * b.first_token + static_cast<double>(n) * b.output_token);
  }
  const auto changes = std::ranges::adjacent_find(faster, std::not_equal_to<>());
  if (changes == faster.end()) return {faster.front() ? Kind::always : Kind::never, 0};
  const auto at = static_cast<std::uint64_t>(changes - faster.begin()) + 1;
  return faster.front() ? Crossover{Kind::up_to, at} : Crossover{Kind::from, at + 1};
}

TEST(Crossover, IsWhatCountingFinds) {
  std::mt19937 random(7);
  // Of these no crossover lies beyond 64 x 20; they are exact in binary.
  std::uniform_int_distribution<int> first(0, 20), each(0, 6);
  std::size_t seen[4] = {};
  for (int draw = 0; draw < 2000; ++draw) {
    const Pace a = {first(random) / 1024.0, each(random) / 1024.0};
    const Pace b = {first(random) / 1024.0, each(random) / 1024.0};
    for (const std::size_t batch : {1, 3, 64}) {
      const Crossover expected = counted(a, b, batch, 1400);
      EXPECT_EQ(crossover_of(a, b, batch), expected) << draw;
      ++seen[static_cast<std::size_t>(expected.kind)];
    }
  }
  EXPECT_THAT(seen, ::testing::Each(::testing::Gt(100u)));
}

TEST(Crossover, OfTiesAndZeros) {
  EXPECT_EQ(crossover_of({1, 1}, {1, 1}, 1).kind, Kind::never);
  EXPECT_EQ(crossover_of({0, 0}, {0, 0}, 8).kind, Kind::never);
  EXPECT_EQ(crossover_of({0, 1}, {1, 1}, 1).kind, Kind::always);
  EXPECT_EQ(crossover_of({1, 0}, {1, 1}, 1).kind, Kind::always);
  EXPECT_EQ(crossover_of({1, 1}, {0, 1}, 1).kind, Kind::never);
  EXPECT_EQ(crossover_of({2, 0}, {0, 1}, 1), (Crossover{Kind::from, 3}));   // at 2 a tie
  EXPECT_EQ(crossover_of({0, 1}, {2, 0}, 1), (Crossover{Kind::up_to, 1}));  // at 2 a tie
  EXPECT_EQ(crossover_of({1, 1}, {0, 1 + 0.5 / kMostOutput}, 1).kind, Kind::never);
}

TEST(ProfileAnswer, OfEqualSettingsNamesTheFirst) {
  LatencyProfile profile;
  profile.passes = {prefill_pass("bf16", 8, 1), prefill_pass("fp8-static", 8, 1)};
  EXPECT_EQ(answer_of(profile).prefill.at(0).fastest.setting.name(), "bf16");
  std::ranges::reverse(profile.passes);
  EXPECT_EQ(answer_of(profile).prefill.at(0).fastest.setting.name(), "fp8-static");
}

TEST(ProfileAnswer, OfOneVariantAlone) {
  LatencyProfile profile;
  profile.passes = {prefill_pass("bf16", 8, 1), decode_pass("bf16", 1, 16, 0.5)};
  const ProfileAnswer answer = answer_of(profile);
  EXPECT_EQ(total_of(answer, 8, 1, 32).fastest.seconds, 17);
  EXPECT_EQ(total_of(answer, 8, 1, 32).fastest.gain, 1.0);
  EXPECT_THAT(answer.crossovers, IsEmpty());
  EXPECT_THAT(answer.savings, IsEmpty());
  EXPECT_THAT(answer.missing, IsEmpty());
}

TEST(ProfileAnswer, WithoutBf16) {
  LatencyProfile profile;
  profile.passes = {prefill_pass("fp8-static", 8, 1), decode_pass("fp8-static", 1, 16, 0.5),
                    prefill_pass("bf16", 8, 1, "e4m3")};
  const ProfileAnswer answer = answer_of(profile);
  EXPECT_EQ(answer.prefill.at(0).fastest.gain, std::nullopt);
  EXPECT_THAT(answer.crossovers, IsEmpty());
  EXPECT_THAT(answer.missing, Contains(HasSubstr("BF16 was not measured")));
}

TEST(ProfileAnswer, WithoutDecoding) {
  LatencyProfile profile;
  profile.passes = {prefill_pass("bf16", 8, 1), prefill_pass("fp8-static", 8, 0.5)};
  const ProfileAnswer answer = answer_of(profile);
  EXPECT_EQ(answer.prefill.size(), 1u);
  EXPECT_THAT(answer.decoding, IsEmpty());
  EXPECT_THAT(answer.totals, IsEmpty());
  EXPECT_THAT(answer.crossovers, IsEmpty());
  EXPECT_THAT(answer.missing, ElementsAre(HasSubstr("no time per output token was measured")));
}

TEST(ProfileAnswer, OfNothing) {
  const ProfileAnswer answer = answer_of({});
  EXPECT_THAT(answer.prefill, IsEmpty());
  EXPECT_EQ(answer.missing.size(), 3u);
}

TEST(ProfileAnswer, InNoTimeHasNoGain) {
  LatencyProfile profile;
  profile.passes = {prefill_pass("bf16", 8, 1), prefill_pass("fp8-static", 8, 0)};
  EXPECT_EQ(answer_of(profile).prefill.at(0).fastest.gain, std::nullopt);
}

TEST(ProfileAnswer, TellsWhatWasNotMeasuredButNotWhatDidNotFit) {
  const ProfileAnswer answer = answer_of(sample_profile());
  EXPECT_THAT(answer.missing,
              ElementsAre("fp8-dynamic: no time per output token of batches (at contexts) 1 at "
                          "32768, 8 at 2048, 8 at 32768"));
}

TEST(ProfileAnswer, SaysWhatStaticScalesSave) {
  const ProfileAnswer answer = answer_of(sample_profile());
  ASSERT_EQ(answer.savings.size(), 3u);
  EXPECT_EQ(answer.savings[1].key.tokens, 8192u);
  EXPECT_NEAR(answer.savings[1].seconds, 0.040, 1e-12);
  EXPECT_NEAR(answer.savings[1].share, 0.2, 1e-12);
  EXPECT_TRUE(answer.savings[2].key.decodes);
  EXPECT_NEAR(answer.savings[2].share, 0.2, 1e-12);
}

TEST(PassLimits, NameTheCeilingThatIsNearest) {
  const LatencyProfile profile = sample_profile();
  const auto fp8 = limit_of(profile.passes[5], profile.ceilings, true);
  ASSERT_TRUE(fp8.has_value());
  EXPECT_EQ(fp8->kind, Limit::Kind::fp8_arithmetic);
  EXPECT_NEAR(fp8->share, 0.1 / 0.2, 1e-12);  // 140 of 1400 TFLOP/s
  const auto as_bf16 = limit_of(profile.passes[5], profile.ceilings, false);
  EXPECT_EQ(as_bf16->kind, Limit::Kind::bf16_arithmetic);
  EXPECT_NEAR(as_bf16->share, 0.2 / 0.2, 1e-12);
  const auto memory = limit_of(profile.passes[6], profile.ceilings, true);
  EXPECT_EQ(memory->kind, Limit::Kind::memory);
  EXPECT_NEAR(memory->share, 0.0032 / 0.004, 1e-12);
}

TEST(PassLimits, CountOnlyProductsAsFp8AndNoGathersAsMemory) {
  ProfiledPass pass = prefill_pass("fp8-static", 8, 1);
  cause_of(pass, Cause::products).flop = 100;
  cause_of(pass, Cause::attention).flop = 100;
  cause_of(pass, Cause::collectives).bytes = 1e6;
  const auto limit = limit_of(pass, {100, 1000, 2000, 10}, true);
  EXPECT_NEAR(limit->share, 0.05 + 0.1, 1e-12);
  pass.key.variant = "fp8-weight-only";  // multiplies in BF16
  EXPECT_EQ(limit_of(pass, {100, 1000, 2000, 10}, true)->kind, Limit::Kind::bf16_arithmetic);
}

TEST(PassLimits, AreNotKnownWithoutTimeOrCeilings) {
  ProfiledPass pass = prefill_pass("fp8-static", 8, 0);
  cause_of(pass, Cause::products).flop = 100;
  EXPECT_EQ(limit_of(pass, {1, 1, 1, 1}, true), std::nullopt);
  EXPECT_EQ(scaling_share(pass), std::nullopt);
  pass.latency.median = 2;
  EXPECT_EQ(limit_of(pass, {}, true), std::nullopt);
  cause_of(pass, Cause::scaling).seconds = 0.5;
  EXPECT_EQ(scaling_share(pass), 0.25);
}

}  // namespace
}  // namespace fp8cal
