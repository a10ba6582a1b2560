#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "coordinator/report/line_panels.hpp"
#include "coordinator/report/page_parts.hpp"
#include "coordinator/report/sections.hpp"

namespace fp8cal {
namespace {

/// A tenth of a decibel should not look like a cliff.
constexpr double kLeastDecibels = 2;

/// A figure of one of the results, with the name and the style of its lines.
struct Line {
  std::string name;
  std::size_t style;
  const LayerGrid* grid;
};

std::vector<Line> lines_of(const ReportFigures& report, bool weights) {
  std::vector<Line> lines;
  for (std::size_t i = 0; i < report.results.size(); ++i) {
    for (const SqnrFigure& figure : report.results[i].sqnr) {
      if (figure.weights != weights) continue;
      lines.push_back(
          {fmt::format("{}{}", result_prefix(report, i), fmt::join(figure.recipes, ", ")),
           lines.size(), &figure.grid});
    }
  }
  return lines;
}

Series series_of(const Line& line, std::size_t column) {
  Series series{.name = line.name, .style = line.style, .points = {}};
  for (const auto& [layer, row] : line.grid->rows) {
    if (row[column]) series.points.emplace_back(static_cast<double>(layer), *row[column]);
  }
  return series;
}

/// A panel a column in which a line has points.
std::vector<Panel> panels_of(const std::vector<Line>& lines, bool weights) {
  std::vector<Panel> panels;
  const std::vector<std::string>& columns = lines.front().grid->columns;
  for (std::size_t column = 0; column < columns.size(); ++column) {
    Panel panel{{.id = chart_id(weights ? "sqnr-weight" : "sqnr-input", column),
                 .title = weights ? columns[column] : kSiteNames[column].title,
                 .description = "Signal to quantization noise by layer, in dB; higher is better."},
                {}};
    for (const Line& line : lines) {
      Series series = series_of(line, column);
      if (!series.points.empty()) panel.series.push_back(std::move(series));
    }
    if (!panel.series.empty()) panels.push_back(std::move(panel));
  }
  return panels;
}

Markup charts_of(const std::vector<Line>& lines, bool weights) {
  const std::vector<Panel> panels = panels_of(lines, weights);
  const auto layers = x_bounds(panels);
  if (!layers) return tag("p", "Nothing is lost.");  // all is infinite
  const Bounds decibels = *y_bounds(panels);
  const double margin = std::max(0.0, (kLeastDecibels - (decibels.high - decibels.low)) / 2);
  std::vector<Series> names;
  for (const Line& line : lines) names.push_back({line.name, line.style, {}});
  Markup content = line_legend(names);
  content += line_panels(panels, layer_axis(layers->low, layers->high),
                         linear_axis("dB", decibels.low - margin, decibels.high + margin, 4));
  return content;
}

}  // namespace

Markup sqnr_section(const ReportFigures& report) {
  Markup content;
  for (const bool weights : {false, true}) {
    const std::vector<Line> lines = lines_of(report, weights);
    if (lines.empty()) continue;
    content += tag("h3", weights ? "Weights" : "Inputs, keys and values with a static scale");
    content += charts_of(lines, weights);
  }
  for (std::size_t i = 0; i < report.results.size(); ++i) {
    if (!report.results[i].sqnr.empty()) continue;
    content += absent_from(report, i,
                           "holds no diagnostics: what quantizing does to each tensor was not "
                           "recorded.");
  }
  return page_section("sqnr-part", "Signal to noise by layer",
                      "Where FP8 loses most. 6 dB are a bit; E4M3 keeps about 31.5 dB of what fits "
                      "its range.",
                      content);
}

}  // namespace fp8cal
