#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "coordinator/report/axis.hpp"
#include "coordinator/report/bar_chart.hpp"
#include "coordinator/report/distribution_chart.hpp"
#include "coordinator/report/distribution_data.hpp"
#include "coordinator/report/heat_map.hpp"
#include "coordinator/report/line_panels.hpp"
#include "coordinator/report/markup.hpp"
#include "coordinator/report/page.hpp"
#include "coordinator/report/page_parts.hpp"
#include "coordinator/report/percentage.hpp"
#include "coordinator/report/sparkline.hpp"
#include "coordinator/verdict.hpp"
#include "full_result.hpp"

namespace fp8cal {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const ChartText kText = {.id = "id", .title = "t", .description = "d"};

std::vector<std::string> labels(const Axis& axis) {
  std::vector<std::string> all;
  for (const Tick& tick : axis.ticks) all.push_back(tick.label);
  return all;
}

TEST(ReportMarkup, EscapesTextAndAttributes) {
  EXPECT_EQ(escaped("<a b=\"c\" d='e'>&\n"), "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;?");
  EXPECT_EQ(tag("p", "<b>").str(), "<p>&lt;b&gt;</p>");
  EXPECT_EQ(tag("a", {{"href", "\"><script>"}}, "x").str(),
            "<a href=\"&quot;&gt;&lt;script&gt;\">x</a>");
  EXPECT_EQ(escaped("\xff\xfe é"), "?? ??");  // no UTF-8 as a whole
  EXPECT_EQ(escaped("é"), "é");
}

TEST(ReportMarkup, CoordinatesHaveATenth) {
  EXPECT_EQ(at(12.04), "12");
  EXPECT_EQ(at(-0.26), "-0.3");
  EXPECT_EQ(at(3.5), "3.5");
}

TEST(ReportAxis, LinearTicksAreRound) {
  const Axis axis = linear_axis("", 0, 0.17, 5);
  EXPECT_THAT(labels(axis), ::testing::ElementsAre("0", "0.05", "0.10", "0.15", "0.20"));
  EXPECT_EQ(axis.place(0, 10, 110), 10);
  EXPECT_DOUBLE_EQ(axis.place(0.1, 10, 110), 60);
  EXPECT_EQ(axis.place(7, 10, 110), 110);  // beyond the end
}

TEST(ReportAxis, LinearTicksDifferHoweverCloseTheyAre) {
  const std::vector<std::string> all = labels(linear_axis("", 31.52, 31.58, 4));
  EXPECT_THAT(std::set<std::string>(all.begin(), all.end()).size(), all.size());
}

TEST(ReportAxis, OneValueStillHasAnAxis) {
  for (const double value : {0.0, 5.0, -3.0, 1e-9}) {
    const Axis axis = linear_axis("", value, value, 4);
    EXPECT_LT(axis.low, axis.high) << value;
    EXPECT_LE(axis.low, value);
    EXPECT_GE(axis.high, value);
    EXPECT_GE(axis.ticks.size(), 2u);
  }
}

TEST(ReportAxis, LogarithmicAxesReachBothEnds) {
  for (const auto& [low, high] :
       {std::pair(0.003, 2000.0), {1.0, 1.0}, {2.5, 29.0}, {1e-30, 1e30}}) {
    const Axis axis = log_axis("", low, high);
    EXPECT_LE(axis.low, low * (1 + 1e-9));
    EXPECT_GE(axis.high, high * (1 - 1e-9));
    EXPECT_LT(axis.low, axis.high);
    EXPECT_GE(axis.ticks.size(), 2u);
    EXPECT_LE(axis.ticks.size(), 7u);
  }
  EXPECT_DOUBLE_EQ(log_axis("", 1, 10000).place(100, 0, 1), 0.5);
}

TEST(ReportAxis, LayersAreWholeNumbers) {
  EXPECT_THAT(labels(layer_axis(0, 3)), ::testing::ElementsAre("0", "1", "2", "3"));
  EXPECT_LE(layer_axis(0, 79).ticks.size(), 10u);
  EXPECT_THAT(labels(layer_axis(7, 7)), ::testing::ElementsAre("7"));
}

TEST(ReportText, NumbersAreShort) {
  EXPECT_EQ(short_number(0), "0");
  EXPECT_EQ(short_number(12345.6), "12346");
  EXPECT_EQ(short_number(29.0), "29");
  EXPECT_EQ(short_number(0.0123456), "0.0123");
  EXPECT_EQ(percentage(0, 10), "0 %");
  EXPECT_EQ(percentage(1, 0), "100.000 %");
  EXPECT_EQ(percentage(1, 1'000'000'000), "1.0e-07 %");
}

TEST(ReportText, SparklinesRunFromLeastToMost) {
  EXPECT_EQ(sparkline({0, 3.5, 7}, 10), "▁▅█");
  EXPECT_EQ(sparkline({2, 2}, 10), "▁▁");
  EXPECT_EQ(sparkline({0, NAN, 1}, 10), "▁ █");
  EXPECT_EQ(sparkline({0, 1, 0, 0}, 2), "█▁");  // the greatest of each part
  EXPECT_EQ(sparkline({}, 10), "");
  EXPECT_EQ(sparkline({HUGE_VAL}, 10), " ");
}

TEST(ReportText, VerdictBandsAreThoseOfTheWords) {
  for (const double size : {0.0, 0.049, 0.05, 0.1, 0.11, 0.3, 1.0, 1.01, HUGE_VAL}) {
    const std::size_t band = verdict_band(size);
    EXPECT_EQ(verdict(size), band < 4 ? kVerdictBands[band].words : kVerdictBeyond.words);
    EXPECT_EQ(verdict_band(-size), band);
  }
  EXPECT_EQ(verdict_band(NAN), 4u);
}

TEST(ReportCharts, BarsThatAreNotFiniteAreToldOf) {
  const std::string chart =
      bar_chart(kText, bar_axis("x", {}), {{.label = "<b>", .text = "inf", .value = HUGE_VAL}})
          .str();
  EXPECT_THAT(chart, HasSubstr("&lt;b&gt;"));
  EXPECT_THAT(chart, HasSubstr("inf"));
  EXPECT_THAT(chart, Not(HasSubstr("class=\"bar\"")));
  EXPECT_THAT(chart, Not(HasSubstr("nan")));
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(ReportCharts, DotsStandOnTheirSpread) {
  const std::vector<Bar> dots = {
      {.label = "a", .text = "+1", .value = 1, .interval = {{0, 2}}, .spread = {{-1, 4}}},
      {.label = "b", .text = "+1", .value = 1}};
  const Axis axis = bar_axis("x", dots);
  EXPECT_LE(axis.low, -1);
  EXPECT_GE(axis.high, 4);
  const std::string chart = dot_chart(kText, axis, dots).str();
  EXPECT_EQ(count_of(chart, "class=\"dot\""), 2u);
  EXPECT_EQ(count_of(chart, "class=\"spread\""), 1u);
  EXPECT_EQ(count_of(chart, "class=\"whisker\""), 3u);
  EXPECT_EQ(count_of(chart, "class=\"bar\""), 0u);
}

TEST(ReportCharts, GuidesThatLieCloseShareALabel) {
  const std::vector<Tick> guides = {{1, "one"}, {1.01, "near"}, {9, "far"}, {11, "beyond"}};
  const std::string chart = bar_chart(kText, linear_axis("x", 0, 10, 5),
                                      {{.label = "a", .text = "1", .value = 1}}, guides)
                                .str();
  EXPECT_EQ(count_of(chart, "class=\"guide\""), 3u);
  EXPECT_THAT(chart, HasSubstr(">one<"));
  EXPECT_THAT(chart, Not(HasSubstr(">near<")));
  EXPECT_THAT(chart, HasSubstr(">far<"));
}

TEST(ReportCharts, LongLabelsAreCutBetweenCharacters) {
  std::string characters;
  for (int i = 0; i < 50; ++i) characters += "\u00e9";
  EXPECT_EQ(chart_label(characters), characters.substr(0, 84) + "\u2026");
  EXPECT_EQ(chart_label(characters.substr(0, 84)), characters.substr(0, 84));
}

TEST(ReportCharts, LinesHaveABandAndIntervals) {
  const Series series{
      .name = "a", .style = 0, .points = {{1, 1}, {2, 2}}, .intervals = {{{0, 2}}, {}}};
  const std::string chart =
      line_chart(kText, sequences_axis(1, 2), linear_axis("", 0, 4, 4), {series}, {{1.5, 2.5}})
          .str();
  EXPECT_EQ(count_of(chart, "class=\"band\""), 1u);
  EXPECT_EQ(count_of(chart, "class=\"whisker\""), 3u);
  EXPECT_EQ(count_of(line_chart(kText, sequences_axis(1, 1), linear_axis("", 0, 4, 4), {}).str(),
                     "class=\"band\""),
            0u);
}

TEST(ReportCharts, LinesLeaveOutWhatIsNotFinite) {
  const std::vector<Panel> panels = {{kText, {{"a", 0, {{0, 1}, {1, HUGE_VAL}, {2, 3}}}}}};
  EXPECT_EQ(y_bounds(panels)->low, 1.0);
  EXPECT_EQ(y_bounds(panels)->high, 3.0);
  EXPECT_EQ(x_bounds(panels)->high, 2.0);
  EXPECT_FALSE(x_bounds({{kText, {{"a", 0, {{0, HUGE_VAL}}}}}}));
  const std::string chart = line_panels(panels, layer_axis(0, 2), linear_axis("", 1, 3, 4)).str();
  EXPECT_THAT(chart, Not(HasSubstr("inf")));
  EXPECT_THAT(chart, HasSubstr("<title id=\"id-title\">t</title>"));
}

TEST(ReportCharts, HeatMapsOfManyLayersAreCut) {
  LayerGrid grid{.columns = {"a", "b"}};
  for (std::size_t layer = 0; layer < 80; ++layer) grid.set(layer, 0, layer + 1.0);
  grid.set(79, 1, 0);
  const ShadeRange range = shade_range({&grid});
  EXPECT_EQ(range.low, 1);
  EXPECT_EQ(range.high, 80);
  const std::string maps = heat_maps(kText, grid, range).str();
  for (const char* title : {"layers 0 to 25", "layers 26 to 52", "layers 53 to 79"}) {
    EXPECT_THAT(maps, HasSubstr(title));
  }
  EXPECT_THAT(maps, HasSubstr("id=\"id-3\""));
  EXPECT_EQ(heat_maps(kText, LayerGrid{.columns = {"a"}}, range).str(), "");
}

TEST(ReportCharts, AllZeroTensorsAreToldOf) {
  TensorDistribution tensor{.module = "m", .bins = {.zeros = 5}, .elements = 5};
  EXPECT_THAT(distribution_chart(kText, tensor, nullptr).str(), HasSubstr("every element is zero"));
}

TEST(ReportCharts, CountsAreEncodedAsLogarithms) {
  EXPECT_EQ(encoded_counts({0, 1, 10, 100}), "--AADIGQ");  // 0, 200 = 3 * 64 + 8, 400
  EXPECT_EQ(encoded_counts({~std::uint64_t{0}}).size(), 2u);
}

TEST(ReportPage, DistributionsBeyondTheBudgetAreCountedAndLeftOut) {
  const TensorDistribution tensor{
      .module = "m", .bins = {.first = 400, .counts = std::vector<std::uint64_t>(150, 7)}};
  ResultFigures figures = figures_of({Result{}, "d"}, "a.h5");
  figures.distributions.assign(3000, tensor);
  const std::string data = distribution_data({{figures}, {}}).str();
  EXPECT_GT(data.size(), kMostDistributionBytes / 2);
  EXPECT_LT(data.size(), kMostDistributionBytes + 1000);
  EXPECT_THAT(data, HasSubstr("tensors more than a page holds"));
  figures.distributions.resize(100);
  EXPECT_THAT(distribution_data({{figures}, {}}).str(), Not(HasSubstr("more than a page")));
}

TEST(ReportPage, NamesStayText) {
  Result result = full_result();
  result.provenance["model_path"] = "/m/<script>alert(1)</script>";
  result.provenance["warnings"] = std::vector<std::string>{"</style><img src=x onerror=y>"};
  const std::string page = report_page({{figures_of({result, "d"}, "\"><svg onload=z>.h5")}, {}});
  EXPECT_THAT(page, Not(HasSubstr("<script>alert")));
  EXPECT_THAT(page, Not(HasSubstr("<img")));
  EXPECT_THAT(page, Not(HasSubstr("<svg onload")));
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt;"));
}

TEST(ReportPage, AnEmptyResultSaysWhatIsMissing) {
  const std::string page = report_page({{figures_of({Result{}, "d"}, "a.h5")}, {}});
  for (const char* sentence :
       {"This result holds no perplexity.", "This result holds no distributions of activations.",
        "This result holds no amax of the first sequences", "This result holds no keys and values.",
        "This result holds no diagnostics", "This result has no timeline."}) {
    EXPECT_THAT(page, HasSubstr(sentence));
  }
}

}  // namespace
}  // namespace fp8cal
