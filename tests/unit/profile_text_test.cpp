#include "coordinator/profile/profile_text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "coordinator/profile/profile_json.hpp"
#include "coordinator/profile/profile_table.hpp"
#include "tests/unit/sample_profile.hpp"

namespace fp8cal {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::size_t widest(const std::string& text) {
  std::size_t most = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) most = std::max(most, line.size());
  return most;
}

/// Every variant and kind of keys and values, on two ranks, with long times.
LatencyProfile wide_profile() {
  LatencyProfile profile;
  for (const char* variant : {"bf16", "fp8-static", "fp8-dynamic", "fp8-weight-only"}) {
    for (const char* kv : {"bf16", "e4m3", "e5m2"}) {
      for (const std::size_t prompt : {128, 512, 2048, 8192, 32768, 131072}) {
        ProfiledPass pass = prefill_pass(variant, prompt, 123.456, kv);
        for (CauseTime& cause : pass.causes) cause.seconds = 20.5;
        profile.passes.push_back(pass);
      }
      for (const std::size_t batch : {1, 8, 32, 128}) {
        for (const std::size_t context : {2048, 32768}) {
          profile.passes.push_back(decode_pass(variant, batch, context, 0.0123, kv));
        }
      }
    }
  }
  return profile;
}

TEST(ProfileTable, FoldsWhatIsTooWide) {
  TextTable table = {{"setting"}, {{"a"}}};
  for (int c = 0; c < 12; ++c) {
    table.header.push_back("column " + std::to_string(c));
    table.rows[0].push_back("cell " + std::to_string(c));
  }
  const std::string text = folded_text(table);
  EXPECT_LE(widest(text), kTableWidth);
  EXPECT_THAT(text, HasSubstr("column 11"));
  EXPECT_EQ(std::ranges::count(text, '\n'), 4);
  table.rows[0][1] = std::string(200, 'x');  // a column that is too wide alone
  EXPECT_THAT(folded_text(table), HasSubstr("cell 11"));
}

TEST(ProfileTable, WritesMillisecondsWithFourDigits) {
  EXPECT_EQ(ms_text(0.000001234), "0.001");
  EXPECT_EQ(ms_text(0.0012345), "1.234");
  EXPECT_EQ(ms_text(0.012345), "12.35");
  EXPECT_EQ(ms_text(0.12345), "123.5");
  EXPECT_EQ(ms_text(12.3456), "12346");
  EXPECT_EQ(ms_text(-0.0125), "-12.50");
  EXPECT_EQ(ms_text(0), "0.000");
}

TEST(ProfileText, StaysWithinTheTerminal) {
  const LatencyProfile profile = wide_profile();
  const std::string text = profile_text(profile, answer_of(profile));
  EXPECT_LE(widest(text), kTableWidth);
  EXPECT_THAT(text, HasSubstr("collectives"));
}

TEST(ProfileText, HasTablesByPassAndAnswers) {
  LatencyProfile profile = sample_profile();
  profile.checks = {{"fp8-static", "e4m3", 64, -0.00001, 0.0005, false}};
  const std::string text = profile_text(profile, answer_of(profile));
  EXPECT_LE(widest(text), kTableWidth);
  for (const char* part : {"scales      made up",
                           "cuda on 1 rank\n",
                           "4000 GB/s of device memory, 700 TFLOP/s in BF16",
                           "2.0 GiB of 3.0 GiB planned",
                           "prompt of 8192 tokens: ms to first token",
                           "fp8-dynamic  200.0   250.0  140.0     20.00",
                           "8 sequences at context 32768",
                           "does not fit in device memory\n",
                           "80 % memory",
                           "50 % FP8",
                           "lowest time to first token",
                           "1.60 x",
                           "from 2",
                           "always",
                           "scaling and casting, share of the time to first token",
                           "10.0 %",
                           "what fp8-static saves of fp8-dynamic's time",
                           "40.00 ms, 20.0 %",
                           "-0.000010",
                           "not measured\n  fp8-dynamic: no time per output token"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
  EXPECT_THAT(text, Not(HasSubstr("collectives")));
  EXPECT_THAT(text, Not(HasSubstr("no tensor cores")));
}

TEST(ProfileText, OfNothingSaysSo) {
  const std::string text = profile_text({}, answer_of({}));
  EXPECT_THAT(text, HasSubstr("no time to first token was measured"));
  EXPECT_THAT(text, Not(HasSubstr("lowest")));
}

TEST(ProfileJson, IsOneObjectWithTheSameFigures) {
  const LatencyProfile profile = sample_profile();
  const std::string text = profile_json(profile, answer_of(profile));
  EXPECT_THAT(text, Not(HasSubstr("\n")));
  const auto json = nlohmann::json::parse(text);
  EXPECT_EQ(json["planned_bytes"], std::uint64_t{3} << 30);
  ASSERT_EQ(json["passes"].size(), profile.passes.size());
  const auto& pass = json["passes"][5];
  EXPECT_EQ(pass["phase"], "prefill");
  EXPECT_EQ(pass["variant"], "fp8-dynamic");
  EXPECT_EQ(pass["median_s"], 0.2);
  EXPECT_EQ(pass["causes"]["products"],
            (nlohmann::json{{"calls", 225}, {"seconds", 0.14}, {"flop", 140e12}, {"bytes", 20e9}}));
  EXPECT_DOUBLE_EQ(pass["scaling_share"], 0.1);
  EXPECT_EQ(pass["limit"]["ceiling"], "FP8");
  EXPECT_FALSE(json["passes"][0].contains("limit"));
  EXPECT_EQ(json["unfit"][0]["phase"], "decode");
  EXPECT_EQ(json["unfit"][0]["needed_bytes"], std::uint64_t{5} << 30);

  const auto& answers = json["answers"];
  EXPECT_EQ(answers["time_to_first_token"][1]["variant"], "fp8-static");
  EXPECT_FALSE(answers["time_per_output_token"][3].contains("gain"));
  EXPECT_EQ(answers["faster_than_bf16"][0], (nlohmann::json{{"variant", "fp8-static"},
                                                            {"kv", "bf16"},
                                                            {"prompt", 128},
                                                            {"batch", 1},
                                                            {"faster", "from"},
                                                            {"tokens", 2}}));
  EXPECT_EQ(answers["total"].size(), 2u * 2 * 4);
  EXPECT_EQ(answers["missing"].size(), 1u);
}

TEST(ProfileJson, TakesPathsThatAreNoUtf8) {
  LatencyProfile profile;
  profile.model = "bad \xff name";
  EXPECT_NO_THROW(nlohmann::json::parse(profile_json(profile, {})));
}

}  // namespace
}  // namespace fp8cal
