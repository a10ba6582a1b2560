#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "coordinator/report/bar_chart.hpp"
#include "coordinator/report/page_parts.hpp"
#include "coordinator/report/study_sections.hpp"
#include "coordinator/report/verdict_parts.hpp"

namespace fp8cal {
namespace {

constexpr const char* kDifference = "difference in perplexity";
constexpr const char* kLimits = "Dashed lines: where the verdict changes.";

Bar difference_of(const StudyRow& row, const std::string& label) {
  Bar bar{.label = label, .text = fmt::format("{:+.4f}", row.difference), .value = row.difference};
  if (row.interval) bar.interval = {row.interval->low, row.interval->high};
  if (row.results > 1) bar.spread = {row.least, row.most};
  return bar;
}

/// A chart a recipe, on one axis.
struct RecipeBars {
  std::string recipe;
  std::vector<Bar> bars;
};

std::vector<RecipeBars> bars_of(const StudyTable& table,
                                const std::function<Bar(const StudyRow&)>& bar_of) {
  std::vector<RecipeBars> all;
  for (const RecipeRows& recipe : rows_by_recipe(table)) {
    RecipeBars& own = all.emplace_back(RecipeBars{.recipe = recipe.recipe, .bars = {}});
    for (const StudyRow* row : recipe.rows) own.bars.push_back(bar_of(*row));
  }
  return all;
}

Axis axis_of(const char* label, const std::vector<RecipeBars>& charts) {
  std::vector<Bar> bars;
  for (const RecipeBars& one : charts) bars.insert(bars.end(), one.bars.begin(), one.bars.end());
  return bar_axis(label, bars);
}

}  // namespace

Markup study_datasets_section(const StudyRecord& study) {
  const std::vector<RecipeBars> charts =
      bars_of(study.datasets, [](const StudyRow& row) { return difference_of(row, row.keys[1]); });
  const Axis axis = axis_of(kDifference, charts);
  Markup figures;
  for (std::size_t i = 0; i < charts.size(); ++i) {
    figures += dot_chart({.id = fmt::format("datasets-{}", i),
                          .title = charts[i].recipe,
                          .description = "Dots: mean perplexity difference of each calibration "
                                         "dataset. Whiskers: 95 % intervals. Bands: from the least "
                                         "to the most of the seeds."},
                         axis, charts[i].bars, verdict_limits());
  }
  Markup content = dot_legend("from least to most over the seeds");
  content += chart_grid(figures);
  content += tag("p", {{"class", "under"}}, kLimits);
  content += numbers_of(study.datasets);
  return page_section("datasets-part", "Calibration datasets",
                      fmt::format("Whether it matters what the model is calibrated on, with {} "
                                  "sequences of it and policy {}.",
                                  most_samples(study), study.results.front().policy),
                      content);
}

Markup study_settings_section(const StudyRecord& study) {
  std::vector<Bar> bars;
  for (const RecipeRows& recipe : rows_by_recipe(study.settings)) {
    for (const StudyRow* row : recipe.rows) {
      bars.push_back(difference_of(*row, fmt::format("{}, {}", recipe.recipe, row->keys[1])));
      bars.back().spread.reset();
    }
  }
  Markup chart = bar_chart({.id = "settings",
                            .title = "Perplexity above BF16, with 95 % intervals",
                            .description = "Bars: mean perplexity difference of each recipe and "
                                           "policy. Whiskers: 95 % intervals. Dashed lines: where "
                                           "verdicts change."},
                           bar_axis(kDifference, bars), bars, verdict_limits());
  chart += tag("p", {{"class", "under"}}, kLimits);
  Markup content = chart_grid(tag("div", {}, chart));
  content += notes_of(study.settings);
  content += numbers_of(study.settings);
  return page_section("settings-part", "Recipes and policies",
                      fmt::format("Which formats, keys and values and scales cost least, with {} "
                                  "calibration sequences.",
                                  most_samples(study)),
                      content);
}

Markup study_variation_section(const StudyRecord& study) {
  Markup content = notes_of(study.datasets);
  const bool has_seeds =
      std::ranges::any_of(study.datasets.rows, [](const StudyRow& row) { return row.results > 1; });
  if (has_seeds) {
    const std::vector<RecipeBars> charts = bars_of(study.datasets, [](const StudyRow& row) {
      return Bar{.label = row.keys[1],
                 .text = row.results > 1 ? fmt::format("{:.4f}", row.deviation) : "one seed",
                 .value = row.deviation};
    });
    const Axis axis = axis_of("standard deviation of perplexity", charts);
    Markup figures;
    for (std::size_t i = 0; i < charts.size(); ++i) {
      figures += bar_chart({.id = fmt::format("variation-{}", i),
                            .title = charts[i].recipe,
                            .description = "Bars: standard deviation of the perplexity difference "
                                           "over the seeds, of each calibration dataset."},
                           axis, charts[i].bars);
    }
    content += chart_grid(figures);
  } else {
    content += absent("This study has one seed, so there is no spread to draw.");
  }
  return page_section("variation-part", "From run to run",
                      "How far another draw of calibration text moves the figures.", content);
}

}  // namespace fp8cal
