#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "consistent_result.hpp"
#include "coordinator/report/comparison_figure.hpp"
#include "coordinator/report/figure_tables.hpp"
#include "coordinator/report/result_figures.hpp"
#include "coordinator/report/show_text.hpp"
#include "full_result.hpp"

namespace fp8cal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kLayer = "model.layers.0.";

ResultFigures figures(const Result& result) { return figures_of({result, "digest"}, "a.h5"); }

TEST(ReportFigures, PlaceTensorsByLayerAndSite) {
  EXPECT_EQ(place_of_activation("model.layers.12.mlp.down_proj")->layer, 12u);
  EXPECT_EQ(place_of_activation("model.layers.12.mlp.down_proj")->column, 3u);
  EXPECT_EQ(place_of_activation("model.layers.0.self_attn.k")->column, 4u);
  EXPECT_EQ(place_of_weight("model.layers.3.self_attn.v_proj.weight")->column, 2u);
  EXPECT_FALSE(place_of_weight("model.layers.3.self_attn.v_proj"));
  for (const char* name : {"", "lm_head", "model.layers.x.self_attn.k", "model.layers.0.mlp.up",
                           "model.layers.99999999999999999999.self_attn.k",
                           "model.layers.18446744073709551615.self_attn.k"}) {
    EXPECT_FALSE(place_of_activation(name)) << name;
    EXPECT_EQ(tensor_title(name), name);
  }
}

TEST(ReportFigures, AmaxIsThatOfTheHistogram) {
  const LayerGrid amax = amax_by_layer(consistent_result());
  ASSERT_EQ(amax.rows.size(), 1u);
  for (const auto& value : amax.rows.at(0)) EXPECT_EQ(value, 2.0);
}

TEST(ReportFigures, BinsMergeAnExactHistogram) {
  std::vector<std::uint64_t> histogram(kHistogramSize, 0);
  histogram[0] = 7;
  histogram[float_to_bf16(1.0f)] = 1;
  histogram[float_to_bf16(1.2421875f)] = 2;  // the last below 1.25
  histogram[float_to_bf16(1.25f)] = 4;
  histogram[float_to_bf16(2.0f)] = 8;
  const MagnitudeBins bins = magnitude_bins(histogram);
  EXPECT_EQ(bins.zeros, 7u);
  EXPECT_THAT(bins.counts, ElementsAre(3, 4, 0, 0, 8));
  EXPECT_EQ(bin_begin(bins.first), 1.0f);
  EXPECT_EQ(bin_begin(bins.first + 1), 1.25f);
  EXPECT_EQ(bin_begin(bins.end()), 2.5f);
  EXPECT_EQ(bin_position(float_to_bf16(1.25f)), static_cast<double>(bins.first + 1));
}

TEST(ReportFigures, BinsOfZerosAloneAreNone) {
  std::vector<std::uint64_t> histogram(kHistogramSize, 0);
  histogram[0] = 3;
  const MagnitudeBins bins = magnitude_bins(histogram);
  EXPECT_TRUE(bins.counts.empty());
  EXPECT_EQ(bins.zeros, 3u);
}

/// One layer whose input of down has the magnitudes `xs`, and the static scale 1.
TensorDistribution with_scale_one(std::initializer_list<float> xs) {
  Result result;
  ActivationStatistics& tensor = result.activations[kLayer + "mlp.down_proj"];
  tensor.histogram.assign(kHistogramSize, 0);
  for (const float x : xs) ++tensor.histogram[float_to_bf16(x)];
  result.scales["fp8-static"][kLayer + "mlp.down_proj"].input_scale = {1.0f};
  return tensor_distributions(result).front();
}

TEST(ReportFigures, RangesOfAScaleAreExact) {
  // E4M3 at scale 1: 450 and 600 are clipped to 448; 2^-12 becomes zero, as 2^-10 rounds to even.
  const TensorDistribution tensor =
      with_scale_one({1.0f, 448.0f, 450.0f, 600.0f, 0x1p-12f, 0x1p-10f, 0x1.02p-10f, 0.0f});
  ASSERT_EQ(tensor.ranges.size(), 1u);
  const ScaledRange& range = tensor.ranges.front();
  EXPECT_EQ(range.largest, 448.0f);
  EXPECT_EQ(range.smallest_kept, 0x1.02p-10f);
  EXPECT_EQ(range.error.clipped, 2u);
  EXPECT_EQ(range.error.flushed, 2u);
  EXPECT_EQ(range.high.kept, 1u);    // 448, in the bin that 450 is in
  EXPECT_EQ(range.high.beyond, 1u);  // 450
  EXPECT_EQ(range.low.kept, 1u);     // a little more than 2^-10, in the bin of 2^-10
  EXPECT_EQ(range.low.beyond, 1u);
  EXPECT_EQ(range.high.position, bin_position(float_to_bf16(450.0f)));
}

TEST(ReportFigures, AnEdgeMovesToTheEndOfABinThatIsOnOneSide) {
  const TensorDistribution kept = with_scale_one({1.0f, 448.0f});
  const RangeEdge& high = kept.ranges.front().high;
  EXPECT_EQ(high.position, static_cast<double>(high.bin + 1));
  EXPECT_EQ(high.beyond, 0u);
  const TensorDistribution clipped = with_scale_one({1.0f, 450.0f});
  EXPECT_EQ(clipped.ranges.front().high.position,
            static_cast<double>(clipped.ranges.front().high.bin));
  EXPECT_EQ(clipped.ranges.front().high.beyond, 1u);
}

TEST(ReportFigures, ScalesOfKeysHaveTheFormatOfTheRecipe) {
  Result result = consistent_result();
  result.scales["fp8-static-kv-e5m2-head"][kLayer + "self_attn"].k_scale = {0.5f, 0.25f};
  result.scales["unknown"][kLayer + "self_attn"].k_scale = {0.5f};
  for (const TensorDistribution& tensor : tensor_distributions(result)) {
    if (tensor.module != kLayer + "self_attn.k") continue;
    ASSERT_EQ(tensor.ranges.size(), 2u);
    EXPECT_THAT(tensor.ranges[0].recipes, ElementsAre("fp8-channel-kv-e4m3"));
    EXPECT_EQ(tensor.ranges[0].format, Fp8Format::e4m3);
    EXPECT_FALSE(tensor.ranges[0].per_head);
    EXPECT_EQ(tensor.ranges[1].format, Fp8Format::e5m2);
    EXPECT_TRUE(tensor.ranges[1].per_head);
    EXPECT_EQ(tensor.ranges[1].scale, 0.5f);
    return;
  }
  FAIL() << "no keys";
}

TEST(ReportFigures, ConvergenceIsAShareOfTheFinalAmax) {
  Result result;
  result.sample_ids.resize(100);
  const std::vector<std::vector<AmaxSnapshot>> snapshots = {
      {{32, 1.0f}, {64, 2.0f}}, {{32, 2.0f}, {64, 2.0f}}, {{32, 1.5f}, {64, 1.75f}}};
  for (std::size_t layer = 0; layer < snapshots.size(); ++layer) {
    ActivationStatistics& tensor = result.activations[site_module(layer, Site::key)];
    tensor.histogram.assign(kHistogramSize, 0);
    tensor.histogram[float_to_bf16(2.0f)] = 1;
    tensor.snapshots = snapshots[layer];
  }
  const auto figures = convergence_by_column(result);
  ASSERT_EQ(figures.size(), 1u);
  EXPECT_EQ(figures[0].column, 4u);
  ASSERT_EQ(figures[0].points.size(), 3u);
  EXPECT_EQ(figures[0].points[0].median, 0.75);
  EXPECT_EQ(figures[0].points[0].least, 0.5);
  EXPECT_EQ(figures[0].points[1].median, 1.0);
  EXPECT_EQ(figures[0].points[1].least, 0.875);
  EXPECT_EQ(figures[0].points[2].sequences, 100u);
  EXPECT_EQ(figures[0].points[2].least, 1.0);
}

TEST(ReportFigures, HeadsOfKeysAreComparedWhereTheyAreKnown) {
  Result result = consistent_result();
  result.activations[kLayer + "self_attn.k"].channel_amax = {2.0f, 0.5f, 0.25f, 1.0f};
  EXPECT_EQ(kv_ranges(result).keys.at(0).smallest_head, 2.0f);  // one head
  result.job["model.num_key_value_heads"] = std::int64_t{2};
  EXPECT_EQ(kv_ranges(result).keys.at(0).smallest_head, 1.0f);
  for (const std::int64_t heads : {0, 3, -1}) {
    result.job["model.num_key_value_heads"] = heads;
    EXPECT_FALSE(kv_ranges(result).keys.at(0).smallest_head);
  }
}

TEST(ReportFigures, SignalToNoiseIsToldOnceForEqualRecipes) {
  Result result;
  const QuantizationError error = {.elements = 4, .energy = 100, .squared_error = 1};
  const QuantizationError other = {.elements = 4, .energy = 1000, .squared_error = 1};
  result.diagnostics["fp8-static"] = {{kLayer + "mlp.down_proj", error}};
  result.diagnostics["fp8-channel"] = {{kLayer + "mlp.down_proj", error}};
  result.diagnostics["fp8-static-kv-e4m3"] = {{kLayer + "mlp.down_proj", error},
                                              {kLayer + "self_attn.k", other}};
  const auto figures = sqnr_by_layer(result);
  ASSERT_EQ(figures.size(), 2u);
  EXPECT_THAT(figures[0].recipes, ElementsAre("fp8-channel", "fp8-static"));
  EXPECT_DOUBLE_EQ(*figures[0].grid.rows.at(0)[3], 20.0);
  EXPECT_THAT(figures[1].recipes, ElementsAre("fp8-static-kv-e4m3"));
  EXPECT_FALSE(figures[1].grid.rows.at(0)[3]);
  EXPECT_DOUBLE_EQ(*figures[1].grid.rows.at(0)[4], 30.0);
}

TEST(ReportFigures, TimelinesAreReadWithBounds) {
  Result result;
  EXPECT_TRUE(timeline_of(result).spans.empty());
  result.provenance["timeline"] = "0\t0\t1\t2\tload";
  EXPECT_TRUE(timeline_of(result).spans.empty());
  result.provenance["timeline"] = std::vector<std::string>{"1\t0.500\t2.500\t100\tcalibrate",
                                                           "0\t0.000\t0.500\t0\tload",
                                                           "0\t3.000\t4.000\t50\tcalibrate",
                                                           "0\t1.000\t2.000\t100\tcalibrate",
                                                           "",
                                                           "0\t1\t2\t3",
                                                           "0\t2.0\t1.0\t0\tbackwards",
                                                           "-1\t0\t1\t0\tnegative",
                                                           "0\tnan\t1\t0\tnan",
                                                           "0\t0\tinf\t0\tendless",
                                                           "0\t0\t1\t1.5\tfraction",
                                                           "65536\t0\t1\t0\tmany",
                                                           "0\t0\t1\t0\t",
                                                           "0\t0\t1\t0\t" + std::string(65, 'x')};
  const TimelineFigure figure = timeline_of(result);
  ASSERT_EQ(figure.spans.size(), 4u);
  EXPECT_EQ(figure.spans[0].stage, "load");
  EXPECT_EQ(figure.spans[1].begin, 1.0);
  EXPECT_EQ(figure.spans[3].rank, 1u);
  EXPECT_THAT(figure.stages, ElementsAre("load", "calibrate"));
  ASSERT_EQ(figure.throughput.size(), 3u);
  EXPECT_EQ(figure.throughput[1].tokens, 150u);
  EXPECT_EQ(figure.throughput[1].seconds, 2.0);
}

TEST(ReportFigures, StandingSaysWhatSpeaksAgainstAVerdict) {
  Result result = consistent_result();
  EXPECT_TRUE(standing_of(result).obstacles.empty());
  Result leaking = result;
  leaking.calibration = {.sequence_length = 64, .tokens = std::vector<std::uint32_t>(64)};
  std::iota(leaking.calibration.tokens.begin(), leaking.calibration.tokens.end(), 1);
  leaking.evaluation = leaking.calibration;
  EXPECT_THAT(standing_of(leaking).obstacles, ElementsAre(HasSubstr("64 of 64 evaluation tokens")));
  result.provenance["weights_streamed"] = "yes";
  result.provenance["warnings"] = std::vector<std::string>{"few samples"};
  EXPECT_THAT(standing_of(result).warnings, ElementsAre("few samples", HasSubstr("streamed")));
  result.differences.clear();
  EXPECT_THAT(standing_of(result).obstacles, ElementsAre(HasSubstr("windows")));
  result.perplexity.erase("bf16");
  EXPECT_THAT(standing_of(result).obstacles, ElementsAre(HasSubstr("BF16")));
  result.perplexity.clear();
  EXPECT_THAT(standing_of(result).obstacles, ElementsAre("no recipe was evaluated"));
}

TEST(ReportFigures, ComparisonHoldsWhatDiffersAlone) {
  const Result a = consistent_result();
  Result b = a;
  b.job["scales.policy"] = "mse";
  b.job.erase("model.head_dim");
  b.perplexity["fp8-channel-kv-e4m3"].nll[0] = 0.75f;
  ReportFigures report{{figures(a), figures(b)}, {}};
  std::vector<std::string> names;
  for (const auto& row : comparison_table(report).rows) names.push_back(row.front());
  EXPECT_THAT(names, ElementsAre("perplexity of fp8-channel-kv-e4m3 (above bf16)", "model.head_dim",
                                 "scales.policy"));
  EXPECT_EQ(comparison_table(report).rows[1],
            (std::vector<std::string>{"model.head_dim", "2", "-"}));
}

TEST(ReportFigures, AnEmptyResultHasTablesWithoutRows) {
  const ReportFigures report{{figures(Result{})}, {}};
  for (const FigureTable& one : figure_tables(report)) {
    if (one.name == "provenance") continue;
    EXPECT_TRUE(one.table.rows.empty()) << one.name;
    EXPECT_EQ(one.table.header.front(), "result");
  }
}

TEST(ReportFigures, TablesHaveOneCellAColumn) {
  for (const FigureTable& one : figure_tables({{figures(full_result())}, {}})) {
    for (const auto& row : one.table.rows) {
      EXPECT_EQ(row.size(), one.table.header.size()) << one.name;
      EXPECT_EQ(row.front(), "a.h5");
    }
  }
}

TEST(ReportFigures, ShowSaysWhatIsMissing) {
  const std::string nothing = show_text(figures(Result{}));
  EXPECT_THAT(nothing, HasSubstr("no perplexity in this result"));
  EXPECT_THAT(nothing, HasSubstr("no distributions of activations in this result"));
  EXPECT_THAT(nothing, HasSubstr("no diagnostics in this result"));
  EXPECT_THAT(nothing, HasSubstr("this result has no timeline"));
  const std::string all = show_text(figures(consistent_result()));
  EXPECT_THAT(all, HasSubstr("expected"));
  EXPECT_THAT(all, HasSubstr("model.layers.0.mlp.down_proj"));
}

TEST(ReportFigures, ShowKeepsATerminalSafe) {
  Result result = consistent_result();
  result.provenance["warnings"] = std::vector<std::string>{"\x1b[31mred\nline"};
  result.provenance["model_path"] = "\x1b]0;title\a";
  const std::string text = show_text(figures(result));
  EXPECT_EQ(text.find('\x1b'), text.npos);
  EXPECT_THAT(text, HasSubstr("warning: ?[31mred?line"));
}

}  // namespace
}  // namespace fp8cal
