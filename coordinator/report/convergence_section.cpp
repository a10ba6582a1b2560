#include <algorithm>

#include "coordinator/report/line_panels.hpp"
#include "coordinator/report/page_parts.hpp"
#include "coordinator/report/sections.hpp"

namespace fp8cal {
namespace {

std::vector<Series> series_of(const ReportFigures& report, std::size_t column) {
  std::vector<Series> series;
  for (std::size_t i = 0; i < report.results.size(); ++i) {
    for (const ConvergenceFigure& figure : report.results[i].convergence) {
      if (figure.column != column) continue;
      const std::string prefix = result_prefix(report, i);
      Series median{.name = prefix + "median layer", .style = 2 * i, .points = {}};
      Series least{.name = prefix + "slowest layer", .style = 2 * i + 1, .points = {}};
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

std::vector<Panel> panels_of(const ReportFigures& report) {
  std::vector<Panel> panels;
  for (std::size_t column = 0; column < kSiteNames.size(); ++column) {
    std::vector<Series> series = series_of(report, column);
    if (series.empty()) continue;
    panels.push_back(
        {{.id = chart_id("convergence", column),
          .title = kSiteNames[column].title,
          .description = "Share of the final amax that was reached after so many "
                         "calibration sequences, of the median and the slowest layer."},
         std::move(series)});
  }
  return panels;
}

}  // namespace

Markup convergence_section(const ReportFigures& report) {
  Markup lines;
  for (std::size_t i = 0; i < report.results.size(); ++i) {
    const ResultFigures& one = report.results[i];
    if (one.convergence.empty()) {
      lines += absent_from(report, i,
                           "holds no amax of the first sequences: snapshots are taken from 32 "
                           "calibration sequences on.");
    }
    if (!one.convergence_line.empty()) {
      lines += tag("p", result_prefix(report, i) + one.convergence_line + ".");
    }
  }
  Markup content;
  const std::vector<Panel> panels = panels_of(report);
  if (const auto sequences = x_bounds(panels)) {
    const double least = std::min(95.0, y_bounds(panels)->low);
    content += line_legend(panels.front().series);
    content += line_panels(panels, sequences_axis(sequences->low, sequences->high),
                           linear_axis("% of the final amax", least, 100, 4));
  }
  content += lines;
  return page_section("convergence-part", "Convergence over samples",
                      "Whether more calibration text would still have moved the scales.", content);
}

}  // namespace fp8cal
