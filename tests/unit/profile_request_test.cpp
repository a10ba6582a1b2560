#include "coordinator/profile/profile_request.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/command_line.hpp"
#include "coordinator/help_text.hpp"
#include "tests/unit/error_text.hpp"
#include "tests/unit/nano_config.hpp"

namespace fp8cal {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

ModelConfig model(std::size_t positions = 131072) {
  ModelConfig config = nano_config();
  config.max_position_embeddings = positions;
  return config;
}

Job job() { return profile_job({{"model.path", "m"}, {"runtime.threads", "3"}}); }

ProfileRequest request_of(const ProfileOptions& options, std::size_t positions = 131072,
                          int ranks = 1) {
  return make_request(options, job(), model(positions), ranks, 7);
}

std::string refused(const ProfileOptions& options, std::size_t positions = 131072, int ranks = 1) {
  return error_text([&] { request_of(options, positions, ranks); });
}

TEST(ProfileCommand, TakesItsOptionsAndSomeKeys) {
  const CommandLine line = parse_command_line(
      {"profile", "--model.path", "m", "--variants", "bf16,fp8-channel", "--kv", "e4m3",
       "--prompts", "16, 32", "--decode-batches=1,2", "--contexts", "8", "--scales", "r.h5",
       "--json", "--output.result", "p.h5", "--runtime.device_memory", "1GiB"});
  EXPECT_TRUE(line.json);
  EXPECT_EQ(line.profile.scales, "r.h5");
  EXPECT_THAT(line.profile.variants, ElementsAre("bf16", "fp8-channel"));
  EXPECT_THAT(line.profile.kv, ElementsAre("e4m3"));
  EXPECT_THAT(line.profile.prompts, ElementsAre(16, 32));
  EXPECT_THAT(line.profile.decode_batches, ElementsAre(1, 2));
  EXPECT_THAT(line.profile.contexts, ElementsAre(8));
  EXPECT_EQ(line.job.size(), 3u);
  EXPECT_FALSE(is_supervised(line));
  EXPECT_THAT(help_text("profile"), HasSubstr("--decode-batches"));
  EXPECT_THAT(help_text(""), HasSubstr("fp8cal profile --model.path"));
}

TEST(ProfileCommand, RefusesWhatItDoesNotUnderstand) {
  const auto said = [](std::vector<std::string> words) {
    words.insert(words.begin(), "profile");
    return error_text([&] { parse_command_line(words); });
  };
  EXPECT_THAT(said({"job.ini"}), HasSubstr("takes no job file"));
  EXPECT_THAT(said({"--prompts", ""}), HasSubstr("--prompts: expected numbers, found nothing"));
  EXPECT_THAT(said({"--variants", " "}), HasSubstr("--variants: expected names, found nothing"));
  EXPECT_THAT(said({"--prompts", "8,8"}), HasSubstr("numbers, each once"));
  EXPECT_THAT(said({"--prompts", "8,08"}), HasSubstr("numbers, each once"));
  EXPECT_THAT(said({"--prompts", "8,,16"}), HasSubstr("numbers, each once"));
  EXPECT_THAT(said({"--prompts", "8k"}), HasSubstr("a whole number from 1 to"));
  EXPECT_THAT(said({"--contexts", "-1"}), HasSubstr("a whole number from 1 to"));
  EXPECT_THAT(said({"--decode-batches", "0"}), HasSubstr("'0'"));
  EXPECT_THAT(said({"--decode-batches", "70000"}), HasSubstr("from 1 to 65536"));
  EXPECT_THAT(said({"--kv", "e4m3,e4m3"}), HasSubstr("names, each once"));
  EXPECT_THAT(said({"--calibration.samples", "8"}), HasSubstr("unknown option"));
  EXPECT_THAT(said({"--model.pat", "m"}), HasSubstr("perhaps '--model.path'"));
  EXPECT_THAT(said({"--decode-batch", "1"}), HasSubstr("perhaps '--decode-batches'"));
  EXPECT_THAT(error_text([] {
                parse_command_line({"run", "j", "--prompts", "8"});
              }),
              HasSubstr("unknown option"));
}

TEST(ProfileJob, NeedsAModelAlone) {
  EXPECT_THAT(error_text([] { profile_job({}); }), HasSubstr("missing key 'model.path'"));
  EXPECT_THAT(error_text([] {
                profile_job({{"model.path", "m"}, {"runtime.backend", "tpu"}});
              }),
              HasSubstr("runtime.backend"));
  EXPECT_EQ(job().output.result, "");
  EXPECT_EQ(profile_job({{"model.path", "m"}, {"output.result", "none"}}).output.result, "none");
}

TEST(ProfileRequest, HasDefaultsWithinTheModel) {
  const ProfileRequest whole = request_of({});
  EXPECT_EQ(whole.model, "m");
  EXPECT_THAT(whole.variants, ElementsAre("bf16", "fp8-static", "fp8-dynamic", "fp8-weight-only"));
  EXPECT_THAT(whole.kv, ElementsAre("bf16", "e4m3", "e5m2"));
  EXPECT_THAT(whole.prompts, ElementsAre(128, 512, 2048, 8192, 32768, 131072));
  EXPECT_THAT(whole.decode_batches, ElementsAre(1, 8, 32, 128));
  EXPECT_THAT(whole.contexts, ElementsAre(2048, 32768));
  EXPECT_EQ(whole.backend, "auto");
  EXPECT_EQ(whole.device_memory, 0u);
  EXPECT_EQ(whole.threads, 3);
  const ProfileRequest less = request_of({}, 2048);
  EXPECT_THAT(less.prompts, ElementsAre(128, 512, 2048));
  EXPECT_THAT(less.contexts, ElementsAre(2047));  // and the token that is decoded
  EXPECT_THAT(request_of({}, 64).prompts, ElementsAre(64));
  EXPECT_EQ(make_request({}, profile_job({{"model.path", "m"}}), model(), 1, 7).threads, 7);
}

TEST(ProfileRequest, RefusesWhatTheModelCannotDo) {
  EXPECT_THAT(refused({.variants = {"bf16", "fp8-statik"}}),
              AllOf(HasSubstr("--variants"), HasSubstr("'fp8-statik'")));
  EXPECT_THAT(refused({.variants = {"fp8-static-kv-e4m3"}}), HasSubstr("--variants"));
  EXPECT_THAT(refused({.kv = {"none"}}), AllOf(HasSubstr("--kv"), HasSubstr("'none'")));
  EXPECT_THAT(refused({.prompts = {8, 4097}}, 4096),
              AllOf(HasSubstr("--prompts"), HasSubstr("at most 4096"), HasSubstr("found 4097")));
  EXPECT_THAT(refused({.contexts = {4096}}, 4096),
              AllOf(HasSubstr("--contexts"), HasSubstr("at most 4095")));
  EXPECT_NO_THROW(request_of({.prompts = {4096}, .contexts = {4095}}, 4096));
  EXPECT_THAT(refused({}, 1), HasSubstr("max_position_embeddings"));
  EXPECT_THAT(refused({}, 131072, 3), AllOf(HasSubstr("1, 2, 4"), HasSubstr("found 3")));
  ModelConfig stored = model();
  stored.stored_recipe = find_recipe("fp8-static");
  EXPECT_THAT(error_text([&] { make_request({}, job(), stored, 1, 1); }),
              HasSubstr("fp8-static already"));
}

TEST(ProfileRequest, NamesTheLongestPromptThatFits) {
  const ProfileRequest request = request_of(
      {.variants = {"bf16", "fp8-static"}, .kv = {"bf16", "e4m3"}, .prompts = {100, 1000, 10}});
  // BF16 with a cache in BF16 needs most: 500 and 2 a token.
  const PromptBytes needed = [](const std::string& variant, const std::string& kv,
                                std::size_t tokens) -> std::uint64_t {
    return (variant == "bf16" ? 500 : 300) + (kv == "bf16" ? 2 : 1) * tokens;
  };
  EXPECT_NO_THROW(check_prompts_fit(request, needed, 2500));
  EXPECT_THAT(
      error_text([&] { check_prompts_fit(request, needed, 2499); }),
      AllOf(HasSubstr("--prompts"), HasSubstr("at most 999 tokens"), HasSubstr("1000, which")));
  EXPECT_THAT(error_text([&] { check_prompts_fit(request, needed, 502); }),
              HasSubstr("at most 1 tokens"));
  EXPECT_THAT(error_text([&] { check_prompts_fit(request, needed, 501); }),
              AllOf(HasSubstr("runtime.device_memory"), HasSubstr("502 bytes")));
}

}  // namespace
}  // namespace fp8cal
