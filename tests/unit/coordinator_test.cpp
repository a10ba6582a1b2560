#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/command_line.hpp"
#include "coordinator/help_text.hpp"
#include "coordinator/scales/outliers.hpp"
#include "coordinator/scales/scale_policy.hpp"
#include "coordinator/verdict.hpp"
#include "jobs/recipe.hpp"
#include "tests/unit/error_text.hpp"

namespace fp8cal {
namespace {

using testing::HasSubstr;

constexpr std::size_t kKvHeads = 2;

LayerStatistics statistics() {
  LayerStatistics layer;
  for (auto& activation : layer.activations) activation.histogram.assign(32768, 0);
  // 0x4100 is 8.0 and 0x40E0 is 7.0 in BF16.
  layer.activations[static_cast<std::size_t>(Site::qkv_input)].histogram[0x4100] = 1;
  layer.activations[static_cast<std::size_t>(Site::qkv_input)].histogram[0x40E0] = 5;
  layer.activations[static_cast<std::size_t>(Site::o_input)].histogram[0x40E0] = 1;
  layer.activations[static_cast<std::size_t>(Site::key)].histogram[0x4100] = 1;
  layer.activations[static_cast<std::size_t>(Site::key)].channel_amax = {1.0f, 8.0f, 3.0f, 2.0f};
  layer.activations[static_cast<std::size_t>(Site::value)].channel_amax = {0.0f, 0.0f, 5.0f, 4.0f};
  layer.weights[0].channel_amax = {1.0f, 2.0f};
  layer.weights[1].channel_amax = {4.0f};
  layer.weights[2].channel_amax = {0.0f};
  layer.weights[3].channel_amax = {0.5f};
  return layer;
}

TEST(ScalePolicy, StaticScalesAreSharedByFusedModules) {
  const LayerScales scales = derive_scales(find_recipe("fp8-static"), {}, kKvHeads, statistics());
  for (std::size_t m : {0, 1, 2}) {
    EXPECT_THAT(scales.linear[m].weight_scale, testing::ElementsAre(4.0f / 448.0f));
    EXPECT_THAT(scales.linear[m].input_scale, testing::ElementsAre(8.0f / 448.0f));
  }
  EXPECT_THAT(scales.linear[3].weight_scale, testing::ElementsAre(0.5f / 448.0f));
  EXPECT_THAT(scales.linear[3].input_scale, testing::ElementsAre(7.0f / 448.0f));
  EXPECT_THAT(scales.linear[6].input_scale, testing::ElementsAre(1.0f));  // an amax of zero
}

TEST(ScalePolicy, ChannelScalesAreOneAChannelAndOneForInputs) {
  const LayerScales scales = derive_scales(find_recipe("fp8-channel"), {}, kKvHeads, statistics());
  EXPECT_THAT(scales.linear[0].weight_scale, testing::ElementsAre(1.0f / 448.0f, 2.0f / 448.0f));
  EXPECT_THAT(scales.linear[0].input_scale, testing::ElementsAre(8.0f / 448.0f));
  EXPECT_THAT(scales.linear[2].input_scale, testing::ElementsAre(8.0f / 448.0f));
}

TEST(ScalePolicy, DynamicScalesAreOneAChannelAndNoneForInputs) {
  const LayerScales scales = derive_scales(find_recipe("fp8-dynamic"), {}, kKvHeads, statistics());
  EXPECT_THAT(scales.linear[0].weight_scale, testing::ElementsAre(1.0f / 448.0f, 2.0f / 448.0f));
  EXPECT_THAT(scales.linear[2].weight_scale, testing::ElementsAre(1.0f));
  EXPECT_TRUE(scales.linear[0].input_scale.empty());
}

TEST(ScalePolicy, WeightsAloneHaveNoInputScales) {
  const LayerScales scales =
      derive_scales(find_recipe("fp8-weight-only"), {}, kKvHeads, statistics());
  EXPECT_THAT(scales.linear[0].weight_scale, testing::ElementsAre(1.0f / 448.0f, 2.0f / 448.0f));
  EXPECT_TRUE(scales.linear[0].input_scale.empty());
  EXPECT_EQ(scales.attention, ModuleScales{});
}

TEST(ScalePolicy, KeysAndValuesTakeOneScaleOrOneAHead) {
  const auto of = [](const char* name) {
    return derive_scales(find_recipe(name), {}, kKvHeads, statistics()).attention;
  };
  EXPECT_THAT(of("fp8-static-kv-e4m3").k_scale, testing::ElementsAre(8.0f / 448.0f));
  EXPECT_THAT(of("fp8-static-kv-e4m3").v_scale, testing::ElementsAre(1.0f));
  EXPECT_THAT(of("fp8-dynamic-kv-e5m2").k_scale, testing::ElementsAre(8.0f / 57344.0f));
  EXPECT_THAT(of("fp8-dynamic-kv-e4m3-head").k_scale,
              testing::ElementsAre(8.0f / 448.0f, 3.0f / 448.0f));
  EXPECT_THAT(of("fp8-dynamic-kv-e4m3-head").v_scale, testing::ElementsAre(1.0f, 5.0f / 448.0f));
}

TEST(Recipes, AreNamedByWhatTheyDo) {
  EXPECT_THAT(combine({"fp8-static", "fp8-dynamic"}, {"none", "e4m3-head"}),
              testing::ElementsAre("fp8-static", "fp8-static-kv-e4m3-head", "fp8-dynamic",
                                   "fp8-dynamic-kv-e4m3-head"));
  for (const std::string& name : combine(recipe_names(), kv_names())) {
    EXPECT_EQ(find_recipe(name).name, name);
  }
  const Recipe recipe = find_recipe("fp8-channel-kv-e5m2-head");
  EXPECT_TRUE(recipe.weight_per_channel);
  EXPECT_EQ(recipe.input, Recipe::Input::per_tensor);
  EXPECT_EQ(recipe.kv, (KvFormat{Fp8Format::e5m2, true}));
  for (const char* name :
       {"", "fp8", "fp8-static-kv-none", "fp8-static-kv-", "fp8-static-kv-e4m3-"}) {
    EXPECT_THAT(error_text([&] { find_recipe(name); }), HasSubstr("fp8-weight-only")) << name;
  }
}

TEST(Verdict, FollowsTheBandsAndNeverSaysLossless) {
  EXPECT_EQ(verdict(0.0), "within run-to-run variation");
  EXPECT_EQ(verdict(0.0499), "within run-to-run variation");
  EXPECT_EQ(verdict(0.05), "within the variance envelope");
  EXPECT_EQ(verdict(0.1), "within the variance envelope");
  EXPECT_EQ(verdict(0.3), "expected");
  EXPECT_EQ(verdict(-0.2), "expected");
  EXPECT_EQ(verdict(1.0), "ambiguous: run downstream benchmarks");
  EXPECT_EQ(verdict(1.01), "broken scales or an unsuitable format");
}

TEST(Outliers, AreRankedByTheirHeightOverTheMedian) {
  std::map<std::string, ActivationStatistics> activations;
  activations["a"].channel_amax = {1.0f, 1.0f, 30.0f};
  activations["b"].channel_amax = {100.0f, 200.0f, 110.0f};
  activations["silent"].channel_amax = {0.0f, 0.0f, 5.0f};
  const auto top = largest_outliers(activations, 2);
  ASSERT_EQ(top.size(), 2u);
  EXPECT_EQ(top[0].module, "a");
  EXPECT_EQ(top[0].channel, 2u);
  EXPECT_FLOAT_EQ(top[0].over_median, 30.0f);
  EXPECT_EQ(top[1].module, "b");
  EXPECT_EQ(top[1].channel, 1u);
}

TEST(CommandLine, ReadsCommandsJobsAndOptions) {
  const CommandLine line =
      parse_command_line({"run", "job.ini", "--calibration.samples", "8", "--model.path=m"});
  EXPECT_EQ(line.command, "run");
  EXPECT_EQ(line.subject, "job.ini");
  ASSERT_EQ(line.job.size(), 2u);
  EXPECT_EQ(line.job[1].key, "model.path");
  EXPECT_EQ(line.job[1].value, "m");
  EXPECT_EQ(parse_command_line({}).command, "help");
  EXPECT_EQ(parse_command_line({"plan", "j", "--ranks", "4"}).ranks, 4);
}

TEST(CommandLine, AuditTakesTwoResultsOrVerifiesOne) {
  const CommandLine two = parse_command_line(
      {"audit", "a", "--tolerance-scale", "2^-7", "b", "--tolerance-ppl=0.01", "--json"});
  EXPECT_EQ(two.subject, "a");
  EXPECT_EQ(two.other, "b");
  EXPECT_EQ(two.tolerances.scale, 0.0078125);
  EXPECT_EQ(two.tolerances.ppl, 0.01);
  EXPECT_TRUE(two.json);
  EXPECT_TRUE(parse_command_line({"audit", "a", "--verify"}).verify);
  const auto refused = [](std::vector<std::string> words) {
    words.insert(words.begin(), "audit");
    return error_text([&] { parse_command_line(words); });
  };
  EXPECT_THAT(refused({}), HasSubstr("needs a result"));
  EXPECT_THAT(refused({"a"}), HasSubstr("two results to compare, or one and --verify"));
  EXPECT_THAT(refused({"a", "b", "--verify"}), HasSubstr("found more than one of these"));
  EXPECT_THAT(refused({"a", "--verify", "--rerun"}), HasSubstr("found more than one of these"));
  EXPECT_THAT(refused({"a", "--verify", "--partition.mode", "auto"}), HasSubstr("--rerun"));
  EXPECT_THAT(refused({"a", "--rerun", "--calibration.seed", "1"}), HasSubstr("unknown option"));
  EXPECT_EQ(parse_command_line({"audit", "a", "--rerun", "--runtime.threads", "1"}).job.size(), 1u);
  EXPECT_EQ(parse_command_line({"audit", "a", "--rerun", "job.ini"}).other, "job.ini");
  EXPECT_THAT(refused({"a", "b", "c"}), HasSubstr("more than two arguments"));
  for (const char* value : {"-1", "2^", "2^x", "nan", "inf", "2^9999", "1e-3x", ""}) {
    EXPECT_THAT(refused({"a", "b", "--tolerance-ppl", value}), HasSubstr("--tolerance-ppl"));
  }
}

TEST(CommandLine, SubmitTakesASweepUpToTheNextOption) {
  const CommandLine line = parse_command_line({"submit", "j", "--array", "a=1,2", "b=-3", "--nodes",
                                               "2", "--dry-run", "--calibration.seed", "4"});
  EXPECT_EQ(line.subject, "j");
  EXPECT_THAT(line.submit.array, testing::ElementsAre("a=1,2", "b=-3"));
  EXPECT_EQ(line.submit.nodes, 2);
  EXPECT_TRUE(line.submit.dry_run);
  ASSERT_EQ(line.job.size(), 1u);
  EXPECT_EQ(line.job[0].key, "calibration.seed");
  EXPECT_THAT(error_text([] {
                parse_command_line({"submit", "--array", "a=1", "j"});
              }),
              HasSubstr("needs a job: expected a job file, not after the words of --array"));
  EXPECT_THAT(error_text([] {
                parse_command_line({"submit", "j", "--node", "2"});
              }),
              HasSubstr("perhaps '--nodes'"));
}

TEST(CommandLine, SubmitsARerun) {
  const CommandLine line =
      parse_command_line({"submit", "j", "--rerun", "r.h5", "--tolerance-ppl", "0.05"});
  EXPECT_EQ(line.submit.rerun, "r.h5");
  EXPECT_EQ(line.tolerances.ppl, 0.05);
  EXPECT_FALSE(line.rerun);
  EXPECT_THAT(error_text([] {
                parse_command_line({"submit", "j", "--tolerance-ppl", "0.05"});
              }),
              HasSubstr("--rerun RESULT"));
  EXPECT_THAT(error_text([] {
                parse_command_line({"submit", "j", "--rerun", "r.h5", "--array", "a=1"});
              }),
              HasSubstr("--rerun, --study and --array"));
}

TEST(CommandLine, StatusAndCollect) {
  EXPECT_EQ(parse_command_line({"status"}).subject, "");
  const CommandLine status = parse_command_line({"status", "120_3", "--json"});
  EXPECT_EQ(status.subject, "120_3");
  EXPECT_TRUE(status.json);
  EXPECT_EQ(parse_command_line({"collect", "sweep.json", "--csv", "t.csv"}).csv, "t.csv");
  EXPECT_THAT(error_text([] { parse_command_line({"collect"}); }), HasSubstr("needs a sweep"));
  EXPECT_THAT(error_text([] {
                parse_command_line({"status", "--csv", "x"});
              }),
              HasSubstr("unknown option"));
}

TEST(CommandLine, SaysWhatItDoesNotUnderstand) {
  const auto refused = [](std::vector<std::string> words) {
    return error_text([&] { parse_command_line(words); });
  };
  EXPECT_THAT(refused({"rum"}), HasSubstr("perhaps 'run'"));
  EXPECT_THAT(refused({"run", "a", "b"}), HasSubstr("more than one argument"));
  EXPECT_THAT(refused({"run", "--calibration.sample", "3"}), HasSubstr("calibration.samples"));
  EXPECT_THAT(refused({"run", "--model.path"}), HasSubstr("no value"));
  EXPECT_THAT(refused({"plan", "--ranks", "0"}), HasSubstr("--ranks"));
  EXPECT_THAT(refused({"run", "--ranks", "2"}), HasSubstr("unknown option"));
  EXPECT_THAT(error_text([] { help_text("poetry"); }), HasSubstr("no help on 'poetry'"));
}

}  // namespace
}  // namespace fp8cal
