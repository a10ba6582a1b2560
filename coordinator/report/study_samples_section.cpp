#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "coordinator/report/line_chart.hpp"
#include "coordinator/report/page_parts.hpp"
#include "coordinator/report/study_sections.hpp"
#include "coordinator/study/study_tables.hpp"

namespace fp8cal {
namespace {

using Range = std::pair<double, double>;

double samples_of(const StudyRow& row) {
  double samples = 0;
  const std::string& text = row.keys[1];
  std::from_chars(text.data(), text.data() + text.size(), samples);
  return samples;
}

/// One recipe's line, and where a change no longer matters.
struct SampleLine {
  Series series;
  Range band;
};

/// The intervals are those of the change to the most samples, which are on the same windows: the
/// difference's own are wider by what all numbers of samples have in common.
SampleLine line_of(const RecipeRows& recipe) {
  std::vector<const StudyRow*> rows = recipe.rows;
  std::ranges::stable_sort(rows, {}, [](const StudyRow* row) { return samples_of(*row); });
  const double settled = rows.back()->difference;
  SampleLine line{.series = {.name = recipe.recipe, .style = 0, .points = {}},
                  .band = {settled - kSettledWithin, settled + kSettledWithin}};
  for (const StudyRow* row : rows) {
    line.series.points.emplace_back(samples_of(*row), row->difference);
    std::optional<Range>& interval = line.series.intervals.emplace_back();
    if (!row->change_interval) continue;
    interval = {settled - row->change_interval->high, settled - row->change_interval->low};
  }
  return line;
}

Axis difference_axis(const SampleLine& line) {
  Range bounds = line.band;
  const auto include = [&bounds](double value) {
    bounds = {std::min(bounds.first, value), std::max(bounds.second, value)};
  };
  for (const auto& [samples, difference] : line.series.points) include(difference);
  for (const auto& interval : line.series.intervals) {
    if (!interval) continue;
    include(interval->first);
    include(interval->second);
  }
  return linear_axis("difference in perplexity", bounds.first, bounds.second, 4);
}

Markup samples_legend() {
  Series mean{.name = "mean; whiskers: 95 % interval of the distance to the last point",
              .style = 0,
              .points = {}};
  Markup items = line_legend_item(mean);
  items += legend_item(band_sample(), fmt::format("within {} of the last point: more sequences do "
                                                  "not matter",
                                                  kSettledWithin));
  return legend(items);
}

}  // namespace

Markup study_samples_section(const StudyRecord& study) {
  std::vector<SampleLine> lines;
  double fewest = HUGE_VAL;
  double most = 0;
  for (const RecipeRows& recipe : rows_by_recipe(study.samples)) {
    lines.push_back(line_of(recipe));
    fewest = std::min(fewest, lines.back().series.points.front().first);
    most = std::max(most, lines.back().series.points.back().first);
  }
  const Axis x = sequences_axis(fewest, most);
  Markup figures;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    figures +=
        line_chart({.id = fmt::format("samples-{}", i),
                    .title = lines[i].series.name,
                    .description = "Line: mean perplexity difference after calibration on so "
                                   "many sequences. Whiskers: 95 % interval of the distance "
                                   "to the last point. Band: where that distance does not "
                                   "matter."},
                   x, difference_axis(lines[i]), {lines[i].series}, lines[i].band);
  }
  Markup content = notes_of(study.samples);
  if (fewest == most) content += absent("This study has one number of calibration sequences.");
  content += samples_legend();
  content += chart_grid(figures);
  content +=
      tag("p", {{"class", "under"}},
          fmt::format("Policy {}. Each chart has its own scale.", study.results.front().policy));
  content += numbers_of(study.samples);
  return page_section("samples-part", "Number of calibration sequences",
                      "From where on more calibration text does not matter.", content);
}

}  // namespace fp8cal
