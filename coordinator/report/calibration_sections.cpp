#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "coordinator/report/line_chart.hpp"
#include "coordinator/report/page_parts.hpp"
#include "coordinator/report/sections.hpp"

namespace fp8cal {
namespace {

constexpr double kLeastDecibels = 2;

using LegendNames = std::vector<std::pair<std::size_t, std::string>>;

/// Whole layers, from the first to the last of all results.
Axis layers_of(const std::vector<const LayerGrid*>& grids) {
  std::size_t first = 0;
  std::size_t last = 0;
  bool any = false;
  for (const LayerGrid* grid : grids) {
    if (grid->empty()) continue;
    first = any ? std::min(first, grid->rows.begin()->first) : grid->rows.begin()->first;
    last = any ? std::max(last, grid->rows.rbegin()->first) : grid->rows.rbegin()->first;
    any = true;
  }
  return layer_axis(first, last);
}

Axis sequences_axis(const std::vector<Series>& series) {
  double low = HUGE_VAL;
  double high = 0;
  for (const Series& one : series) {
    for (const auto& [sequences, share] : one.points) {
      low = std::min(low, sequences);
      high = std::max(high, sequences);
    }
  }
  Axis axis{.label = "calibration sequences", .low = low, .high = high, .logarithmic = true};
  if (low == high) axis.low = low / 2;
  for (double tick = axis.low; tick < 0.75 * axis.high; tick *= 2) {
    axis.ticks.push_back({tick, short_number(tick)});
  }
  axis.ticks.push_back({axis.high, short_number(axis.high)});
  return axis;
}

std::vector<Series> convergence_series(const ReportFigures& report, std::size_t column) {
  std::vector<Series> series;
  for (std::size_t i = 0; i < report.results.size(); ++i) {
    for (const ConvergenceFigure& figure : report.results[i].convergence) {
      if (figure.column != column) continue;
      Series median{.name = "median layer", .style = 2 * i, .points = {}};
      Series least{.name = "slowest layer", .style = 2 * i + 1, .points = {}};
      for (const ConvergencePoint& point : figure.points) {
        median.points.emplace_back(point.sequences, 100 * point.median);
        least.points.emplace_back(point.sequences, 100 * point.least);
      }
      series.push_back(std::move(median));
      series.push_back(std::move(least));
    }
  }
  return series;
}

Markup kv_chart(const ReportFigures& report, std::size_t index, const char* name, const char* title,
                const std::vector<KvRange>& ranges, const Axis& y) {
  Series amax{.name = "largest head", .style = 0, .points = {}};
  Series head{.name = "smallest head", .style = 1, .points = {}};
  Series most{.name = "99.9 % of the elements", .style = 2, .points = {}};
  for (const KvRange& one : ranges) {
    const auto layer = static_cast<double>(one.layer);
    amax.points.emplace_back(layer, one.amax);
    if (one.smallest_head) head.points.emplace_back(layer, *one.smallest_head);
    most.points.emplace_back(layer, one.most);
  }
  return line_chart({.id = chart_id(name, index),
                     .title = result_prefix(report, index) + title,
                     .description = fmt::format("Magnitudes by layer: amax of the head with the "
                                                "largest and the smallest, and what 99.9 % of the "
                                                "elements do not exceed.")},
                    layer_axis(ranges.front().layer, ranges.back().layer), y, {amax, head, most});
}

/// One scale for the keys and values of all results.
Axis kv_axis(const ReportFigures& report) {
  double low = HUGE_VAL;
  double high = 0;
  for (const ResultFigures& one : report.results) {
    for (const auto* ranges : {&one.kv.keys, &one.kv.values}) {
      for (const KvRange& range : *ranges) {
        for (const float value :
             {range.amax, range.smallest_head.value_or(range.amax), range.most}) {
          if (value > 0) low = std::min(low, static_cast<double>(value));
          high = std::max(high, static_cast<double>(value));
        }
      }
    }
  }
  return high > 0 ? log_axis("magnitude", low, high) : linear_axis("magnitude", 0, 1, 4);
}

}  // namespace

Markup convergence_section(const ReportFigures& report) {
  std::map<std::size_t, std::vector<Series>> columns;
  LegendNames names;
  Markup rest;
  for (std::size_t i = 0; i < report.results.size(); ++i) {
    const ResultFigures& one = report.results[i];
    for (const ConvergenceFigure& figure : one.convergence) columns[figure.column];
    const std::string prefix = result_prefix(report, i);
    if (one.convergence.empty()) {
      rest += absent_from(report, i,
                          "holds no amax of the first sequences: snapshots are taken "
                          "from 32 calibration sequences on.");
      continue;
    }
    names.emplace_back(2 * i, prefix + "median layer");
    names.emplace_back(2 * i + 1, prefix + "slowest layer");
    if (!one.convergence_line.empty()) {
      rest += tag("p", {}, prefix + one.convergence_line + ".");
    }
  }
  std::vector<Series> all;
  for (auto& [column, series] : columns) {
    series = convergence_series(report, column);
    all.insert(all.end(), series.begin(), series.end());
  }
  Markup content;
  if (!all.empty()) {
    const Axis y =
        linear_axis("% of the final amax", std::min(95.0, y_range(all, {0, 100}).first), 100, 4);
    const Axis x = sequences_axis(all);
    Markup charts;
    for (const auto& [column, series] : columns) {
      charts += line_chart({.id = chart_id("convergence", column),
                            .title = kSiteNames[column].title,
                            .description = "Share of the final amax that was reached after so many "
                                           "calibration sequences, of the median and the slowest "
                                           "layer."},
                           x, y, series);
    }
    content += line_legend(names);
    content += chart_grid(charts);
  }
  content += rest;
  return page_section("convergence-part", "Convergence over samples",
                      "Whether more calibration text would still have moved the scales.", content);
}

Markup kv_section(const ReportFigures& report) {
  const Axis y = kv_axis(report);
  Markup charts;
  Markup missing;
  for (std::size_t i = 0; i < report.results.size(); ++i) {
    const KvFigure& kv = report.results[i].kv;
    if (!kv.keys.empty()) charts += kv_chart(report, i, "keys", "keys (K)", kv.keys, y);
    if (!kv.values.empty()) charts += kv_chart(report, i, "values", "values (V)", kv.values, y);
    if (kv.keys.empty() && kv.values.empty()) {
      missing += absent_from(report, i, "holds no keys and values.");
    }
  }
  Markup content;
  if (!charts.empty()) {
    content +=
        line_legend({{0, "largest head"}, {1, "smallest head"}, {2, "99.9 % of the elements"}});
    content += chart_grid(charts);
  }
  content += missing;
  return page_section(
      "kv-part", "Keys and values",
      "How wide the ranges of the KV cache are, and whether heads differ enough for "
      "a scale each.",
      content);
}

namespace {

/// One line a result and set of recipes.
struct SqnrLine {
  std::size_t style;
  std::string name;
  const LayerGrid* grid;
};

std::vector<SqnrLine> sqnr_lines(const ReportFigures& report, bool weights) {
  std::vector<SqnrLine> lines;
  for (std::size_t i = 0; i < report.results.size(); ++i) {
    for (const SqnrFigure& figure : report.results[i].sqnr) {
      if (figure.weights != weights) continue;
      lines.push_back(
          {lines.size(),
           fmt::format("{}{}", result_prefix(report, i), fmt::join(figure.recipes, ", ")),
           &figure.grid});
    }
  }
  return lines;
}

Series sqnr_series(const SqnrLine& line, std::size_t column) {
  Series series{.name = line.name, .style = line.style, .points = {}};
  for (const auto& [layer, row] : line.grid->rows) {
    if (row[column]) series.points.emplace_back(static_cast<double>(layer), *row[column]);
  }
  return series;
}

Markup sqnr_charts(const std::vector<SqnrLine>& lines, bool weights) {
  std::vector<const LayerGrid*> grids;
  for (const SqnrLine& line : lines) grids.push_back(line.grid);
  const std::vector<std::string>& columns = lines.front().grid->columns;
  std::vector<std::vector<Series>> charts(columns.size());
  std::vector<Series> all;
  for (std::size_t column = 0; column < columns.size(); ++column) {
    for (const SqnrLine& line : lines) {
      Series series = sqnr_series(line, column);
      if (series.points.empty()) continue;
      charts[column].push_back(series);
      all.push_back(std::move(series));
    }
  }
  const auto [low, high] = y_range(all, {0, 1});
  // A tenth of a decibel should not look like a cliff.
  const double margin = std::max(0.0, (kLeastDecibels - (high - low)) / 2);
  const Axis y = linear_axis("dB", low - margin, high + margin, 4);
  Markup figures;
  for (std::size_t column = 0; column < columns.size(); ++column) {
    if (charts[column].empty()) continue;
    figures +=
        line_chart({.id = chart_id(weights ? "sqnr-weight" : "sqnr-input", column),
                    .title = weights ? "weight of " + columns[column] : kSiteNames[column].title,
                    .description = "Signal to quantization noise by layer; higher is better."},
                   layers_of(grids), y, charts[column]);
  }
  LegendNames names;
  for (const SqnrLine& line : lines) names.emplace_back(line.style, line.name);
  Markup content = line_legend(names);
  content += chart_grid(figures);
  return content;
}

}  // namespace

Markup sqnr_section(const ReportFigures& report) {
  Markup content;
  for (const bool weights : {false, true}) {
    const std::vector<SqnrLine> lines = sqnr_lines(report, weights);
    if (lines.empty()) continue;
    content += tag("h3", weights ? "Weights" : "Inputs, keys and values with a static scale");
    content += sqnr_charts(lines, weights);
  }
  for (std::size_t i = 0; i < report.results.size(); ++i) {
    if (!report.results[i].sqnr.empty()) continue;
    content += absent_from(report, i,
                           "holds no diagnostics: what quantizing does to each tensor "
                           "was not recorded.");
  }
  return page_section("sqnr-part", "Signal to noise by layer",
                      "Where FP8 loses most. 6 dB are a bit; E4M3 keeps about 31.5 dB of what fits "
                      "its range.",
                      content);
}

}  // namespace fp8cal
