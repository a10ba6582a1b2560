#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "coordinator/report/axis.hpp"
#include "coordinator/report/bar_chart.hpp"
#include "coordinator/report/figure_tables.hpp"
#include "coordinator/report/latency_charts.hpp"
#include "coordinator/report/latency_page.hpp"
#include "coordinator/report/latency_tables.hpp"
#include "coordinator/report/latency_text.hpp"
#include "coordinator/report/line_chart.hpp"
#include "coordinator/report/page.hpp"
#include "coordinator/report/show_text.hpp"
#include "coordinator/report/total_times.hpp"
#include "full_result.hpp"
#include "latency_profile_fixture.hpp"

namespace fp8cal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const ChartText kText = {.id = "id", .title = "t", .description = "d"};
const ChartNames kNames = {};

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++count;
  return count;
}

std::vector<std::string> labels(const Axis& axis) {
  std::vector<std::string> all;
  for (const Tick& tick : axis.ticks) all.push_back(tick.label);
  return all;
}

std::string page_of(LatencyProfile profile) {
  return latency_page({{"p.h5"}, {latency_figures_of(std::move(profile))}});
}

/// One pass of each kind of BF16 and one recipe, whose causes take all their time.
LatencyProfile small_profile(double first, double each) {
  LatencyProfile profile;
  profile.model = "/m/nano";
  profile.ceilings = {1e9, 1e12, 2e12, 0};
  const auto add = [&](bool decodes, const char* variant, double seconds) {
    ProfiledPass& pass = profile.passes.emplace_back();
    pass.key = {decodes, variant, "bf16", 1, 100};
    pass.latency = {seconds, 2 * seconds, 3};
    pass.causes[0] = {2, seconds, 1e9, 1e6};
  };
  add(false, "bf16", 0.010);
  add(true, "bf16", 0.002);
  add(false, "fp8-static", first);
  add(true, "fp8-static", each);
  return profile;
}

TEST(LatencyFigures, PointsAndNamesAreThoseOfThePasses) {
  const LatencyProfile profile = latency_profile_fixture();
  EXPECT_THAT(variants_of(profile),
              ElementsAre("bf16", "fp8-static", "fp8-dynamic", "fp8-weight-only"));
  EXPECT_THAT(kv_of(profile), ElementsAre("bf16", "e4m3", "e5m2"));
  EXPECT_EQ(points_of(profile, false).size(), 11u);
  EXPECT_EQ(points_of(profile, true).size(), 8u);
  EXPECT_EQ(point_name({false, 1, 4096}), "a prompt of 4K tokens");
  EXPECT_EQ(point_name({true, 1, 100}), "1 sequence after 100 tokens");
  EXPECT_EQ(point_name({true, 8, 32768}), "8 sequences after 32K tokens each");
}

TEST(LatencyFigures, TheMiddlePointIsOneThatAllHave) {
  const LatencyProfile profile = latency_profile_fixture();
  for (const bool decodes : {false, true}) {
    const PassPoint point = middle_point(profile, decodes).value();
    EXPECT_EQ(passes_at(profile, point).size(), 12u);
  }
  EXPECT_EQ(middle_point(profile, false)->tokens, 4096u);
  EXPECT_FALSE(middle_point({}, true));
}

TEST(LatencyFigures, CeilingsBoundByBytesOrOperations) {
  LatencyProfile profile = small_profile(0.010, 0.002);
  // 1e9 operations take 1 ms in BF16 and half of that in FP8; 1e6 bytes, 1 ms.
  EXPECT_DOUBLE_EQ(*share_of_ceiling(profile, profile.passes[0], Cause::products), 0.1);
  profile.passes[0].causes[0].flop = 4e9;
  profile.passes[2].causes[0].flop = 4e9;
  EXPECT_DOUBLE_EQ(*share_of_ceiling(profile, profile.passes[0], Cause::products), 0.4);
  EXPECT_DOUBLE_EQ(*share_of_ceiling(profile, profile.passes[2], Cause::products), 0.2);
  profile.passes[2].key.variant = "fp8-weight-only";  // multiplies in BF16
  EXPECT_DOUBLE_EQ(*share_of_ceiling(profile, profile.passes[2], Cause::products), 0.4);
  profile.ceilings.fp8_flop_per_s = 0;
  profile.passes[2].key.variant = "fp8-static";
  EXPECT_DOUBLE_EQ(*share_of_ceiling(profile, profile.passes[2], Cause::products), 0.4);
  EXPECT_FALSE(share_of_ceiling(profile, profile.passes[0], Cause::gaps));
  profile.ceilings = {};
  EXPECT_FALSE(share_of_ceiling(profile, profile.passes[0], Cause::products));
}

TEST(TotalTimes, CrossWhereBothTookAsLong) {
  const TotalTime bf16 = {"bf16", "bf16", 0.010, 0.002};
  const TotalTime later = {"fp8-static", "bf16", 0.015, 0.0015};
  EXPECT_DOUBLE_EQ(*crossing(later, bf16), 10);
  EXPECT_DOUBLE_EQ(later.of(10), bf16.of(10));
  EXPECT_EQ(crossing_text(later, bf16), "faster from 10 tokens on");
  EXPECT_EQ(crossing_text({"", "", 0.0055, 0.0025}, bf16), "faster up to 9 tokens");
  EXPECT_EQ(crossing_text({"", "", 0.009, 0.001}, bf16), "faster throughout");
  EXPECT_EQ(crossing_text({"", "", 0.0101, 0.001}, bf16), "faster throughout");  // from the first
  EXPECT_EQ(crossing_text({"", "", 0.011, 0.002}, bf16), "slower throughout");
  EXPECT_EQ(crossing_text(bf16, bf16), "as fast");
}

TEST(TotalTimes, TakeThePromptNearestToTheContext) {
  LatencyProfile profile = latency_profile_fixture();
  std::vector<TotalTimes> all = total_times(profile);
  ASSERT_EQ(all.size(), 2u);  // the smallest batch alone
  for (const TotalTimes& times : all) {
    EXPECT_EQ(times.prompt, times.context);
    EXPECT_EQ(times.sequences, 1u);
    EXPECT_EQ(times.lines.size(), 12u);
    EXPECT_EQ(times.reference(), times.lines.data());
  }
  std::erase_if(profile.passes, [](const ProfiledPass& pass) {
    return !pass.key.decodes && pass.key.tokens != 1024 && pass.key.tokens != 8192;
  });
  all = total_times(profile);
  EXPECT_EQ(all[0].prompt, 1024u);
  EXPECT_EQ(all[1].prompt, 8192u);
}

TEST(TotalTimes, NeedAPromptAndDecoding) {
  for (const bool decodes : {false, true}) {
    LatencyProfile profile = small_profile(0.01, 0.001);
    std::erase_if(profile.passes, [=](const auto& pass) { return pass.key.decodes == decodes; });
    EXPECT_TRUE(total_times(profile).empty());
  }
  LatencyProfile profile = small_profile(0.01, 0.001);
  profile.passes.erase(profile.passes.begin());  // BF16's prompt
  const std::vector<TotalTimes> all = total_times(profile);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].lines.size(), 1u);
  EXPECT_EQ(all[0].reference(), nullptr);
}

TEST(LatencyTables, SayWhatDoesNotFitAndWhatWasNotMeasured) {
  LatencyProfile profile = latency_profile_fixture();
  profile.passes.erase(profile.passes.begin());
  const TextTable prompts = latency_table(profile, false, "bf16");
  EXPECT_THAT(prompts.header,
              ElementsAre("prompt", "bf16", "fp8-static", "fp8-dynamic", "fp8-weight-only"));
  ASSERT_EQ(prompts.rows.size(), 11u);
  EXPECT_EQ(prompts.rows[0][0], "128");
  EXPECT_EQ(prompts.rows[0][1], "-");
  EXPECT_EQ(prompts.rows[0][2], "3.46 (3.6)");
  const TextTable tokens = latency_table(profile, true, "bf16");
  EXPECT_THAT(tokens.rows.back(), ElementsAre("128", "32768", "does not fit", "does not fit",
                                              "does not fit", "does not fit"));
  EXPECT_TRUE(latency_table(profile, true, "none of them").rows.empty());
}

TEST(LatencyTables, CausesAreSharesOfTheTime) {
  const LatencyProfile profile = small_profile(0.02, 0.002);
  const TextTable table = cause_table(profile, {false, 1, 100});
  EXPECT_THAT(table.header, ElementsAre("variant", "KV", "time", "products"));
  EXPECT_THAT(table.rows[0], ElementsAre("bf16", "bf16", "10 ms", "100 % (10 %)"));
}

TEST(LatencyText, HoldsAllParts) {
  LatencyFigures figures = latency_figures_of(latency_profile_fixture());
  figures.answer = {"fp8-static comes first", "a\x1B[31m"};
  const std::string text = latency_text(figures, "p.h5");
  for (const char* words :
       {"1380 TFLOP/s", "time to first token, ms", "KV in e5m2", "time per output token, ms",
        "what the time goes to, a prompt of 4K tokens", "faster throughout", "faster from ",
        "143.0 GiB", "the same", "\nfp8-static comes first\na?[31m\n", "/models/Llama-3.1-8B"}) {
    EXPECT_THAT(text, HasSubstr(words));
  }
}

TEST(LatencyText, SaysWhatIsMissing) {
  const std::string text = latency_text({}, "p.h5");
  EXPECT_THAT(text, HasSubstr("no time to first token was measured"));
  EXPECT_THAT(text, HasSubstr("no time per output token was measured"));
  EXPECT_THAT(text, HasSubstr("no tensor cores for it"));
}

TEST(LatencyText, FollowsTheResult) {
  ResultFigures figures = figures_of({full_result(), "digest"}, "a.h5");
  const std::string without = show_text(figures);
  figures.latency = latency_figures_of(latency_profile_fixture());
  EXPECT_TRUE(show_text(figures).starts_with(without));
  EXPECT_THAT(show_text(figures), HasSubstr("time per output token"));
  EXPECT_THAT(without, Not(HasSubstr("time per output token")));
}

TEST(LatencyAxes, TokensDouble) {
  EXPECT_THAT(labels(tokens_axis("", 128, 131072)),
              ElementsAre("128", "512", "2K", "8K", "32K", "128K"));
  EXPECT_THAT(labels(tokens_axis("", 100, 400)), ElementsAre("100", "200", "400"));
  const Axis one = tokens_axis("", 2048, 2048);
  EXPECT_LT(one.low, 2048);
  EXPECT_GT(one.high, 2048);
  EXPECT_LE(tokens_axis("", 1, 1 << 28).ticks.size(), 6u);
  EXPECT_EQ(token_count(1536), "1536");
  EXPECT_EQ(token_count(1024), "1K");
}

TEST(LatencyCharts, StackedBarsAddUp) {
  const std::vector<Bar> bars = {{.label = "a", .text = "3", .value = 3, .parts = {1, 0, 2}}};
  const std::string chart = stacked_chart(kText, linear_axis("ms", 0, 3, 3), bars).str();
  EXPECT_EQ(count_of(chart, "class=\"p0\""), 1u);
  EXPECT_EQ(count_of(chart, "class=\"p1\""), 0u);  // nothing to see
  EXPECT_EQ(count_of(chart, "class=\"p2\""), 1u);
  EXPECT_EQ(pattern_class(7), "p1");
}

TEST(LatencyCharts, CrossingsAreMarked) {
  const auto dots = [](const LatencyProfile& profile) {
    return count_of(total_charts(profile, kNames).str(), "class=\"dot\"");
  };
  EXPECT_EQ(dots(small_profile(0.015, 0.0015)), 1u);
  EXPECT_EQ(dots(small_profile(0.009, 0.0015)), 0u);
  EXPECT_EQ(dots(small_profile(10, 0.0019)), 1u);   // after 99,900 tokens: the axis reaches it
  EXPECT_EQ(dots(small_profile(1e5, 0.0019)), 0u);  // nobody waits for that
  const std::string chart =
      line_chart(kText, tokens_axis("", 1, 8), linear_axis("", 0, 1, 2), {}, {}, {{2, 0.5}}).str();
  EXPECT_EQ(count_of(chart, "class=\"dot\""), 1u);
}

TEST(LatencyPage, DrawsEachPart) {
  const std::string page = page_of(latency_profile_fixture());
  for (const char* id :
       {"first-token-0-0", "first-token-0-2", "output-token-0-0", "output-token-0-11",
        "causes-prefill-0", "causes-decode-0", "total-0-0", "total-0-5"}) {
    EXPECT_EQ(count_of(page, std::string("<svg id=\"") + id + "\""), 1u) << id;
  }
  EXPECT_THAT(page, HasSubstr("How fast Llama-3.1-8B is in FP8"));
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_THAT(page, Not(HasSubstr("nan")));
  EXPECT_LT(page.size(), 200'000u);
}

TEST(LatencyPage, SaysWhatIsMissing) {
  const auto without = [](const auto& leaves_out) {
    LatencyProfile profile = small_profile(0.015, 0.0015);
    std::erase_if(profile.passes, leaves_out);
    return page_of(std::move(profile));
  };
  EXPECT_THAT(page_of({}), HasSubstr("No pass was measured."));
  EXPECT_THAT(page_of({}), HasSubstr("an unnamed model"));
  const std::string no_decoding = without([](const auto& pass) { return pass.key.decodes; });
  EXPECT_THAT(no_decoding, HasSubstr("No time per output token was measured."));
  EXPECT_THAT(no_decoding, HasSubstr("it takes both a prompt and decoding"));
  EXPECT_THAT(without([](const auto& pass) { return !pass.key.decodes; }),
              HasSubstr("No time to first token was measured."));
  const std::string no_bf16 = without([](const auto& pass) { return pass.key.variant == "bf16"; });
  EXPECT_THAT(no_bf16, HasSubstr("One variant alone was measured"));
  EXPECT_THAT(no_bf16, HasSubstr("BF16 was not measured"));
  const std::string result = report_page({{figures_of({Result{}, "d"}, "a.h5")}, {}});
  EXPECT_THAT(result, HasSubstr("This result holds no latencies"));
}

TEST(LatencyPage, ExtremesStayOnThePage) {
  LatencyProfile profile = small_profile(1e9, 1e-300);
  profile.passes[0].causes[1] = {1, 1e9, 1e30, 1e30};
  profile.model = "</title><script>alert(1)</script>";
  const std::string page = page_of(profile);
  for (const char* words : {"nan", "inf", "<script"}) EXPECT_THAT(page, Not(HasSubstr(words)));
  EXPECT_LT(page.size(), 60'000u);
}

TEST(LatencyPage, SeveralProfilesAreToldApart) {
  const LatencyFigures one = latency_figures_of(small_profile(0.015, 0.0015));
  const std::string page = latency_page({{"a.h5", "b.h5"}, {one, one}});
  for (const char* part : {"A: Time to first token", "B: Time to first token",
                           "<svg id=\"total-0-0\"", "<svg id=\"total-1-0\""}) {
    EXPECT_THAT(page, HasSubstr(part));
  }
}

TEST(LatencyPage, TheAnswerComesFirst) {
  LatencyFigures figures = latency_figures_of(small_profile(0.015, 0.0015));
  figures.answer = {"<b> is first."};
  const std::string page = latency_page({{"p.h5"}, {figures}});
  const std::size_t answer = page.find("<p>&lt;b&gt; is first.</p>");
  ASSERT_NE(answer, page.npos);
  EXPECT_LT(answer, page.find("What the device does at most"));
}

TEST(LatencyCsv, HoldsEveryPassWithAllDigits) {
  ReportFigures report{{figures_of({Result{}, "d"}, "a.h5")}, {}};
  report.results[0].latency = latency_figures_of(small_profile(0.015, 1.0 / 3));
  for (const FigureTable& one : figure_tables(report)) {
    if (one.name == "latency") {
      ASSERT_EQ(one.table.rows.size(), 4u);
      EXPECT_THAT(one.table.rows[3], ElementsAre("a.h5", "decode", "fp8-static", "bf16", "1", "100",
                                                 "0.3333333333333333", "0.6666666666666666", "3"));
    } else if (one.name == "latency_causes") {
      EXPECT_EQ(one.table.rows.size(), 4 * kCauses);
    } else if (one.name == "latency_totals") {
      EXPECT_EQ(one.table.rows.size(), 2u);
    }
    for (const auto& row : one.table.rows) EXPECT_EQ(row.size(), one.table.header.size());
  }
}

}  // namespace
}  // namespace fp8cal
