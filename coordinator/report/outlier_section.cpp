#include <fmt/format.h>

#include <algorithm>

#include "coordinator/report/bar_chart.hpp"
#include "coordinator/report/page_parts.hpp"
#include "coordinator/report/sections.hpp"

namespace fp8cal {
namespace {

Markup outlier_chart(const ReportFigures& report, std::size_t index) {
  std::vector<Bar> bars;
  for (const OutlierChannel& one : report.results[index].outliers) {
    bars.push_back(
        {.label = fmt::format("{}, channel {}", tensor_title(one.module), one.channel),
         .text = fmt::format("{:.1f} x, amax {}", one.over_median, short_number(one.amax)),
         .value = one.over_median});
  }
  return bar_chart({.id = chart_id("outliers", index),
                    .title = result_prefix(report, index) + "Largest outlier channels",
                    .description = "Bars: amax of a channel over that of the median channel of "
                                   "its tensor."},
                   bar_axis("times the median channel", bars), bars);
}

/// Of what static scales lose to outliers; nothing where there are none.
Markup advice(const std::string& prefix, const ResultFigures& figures) {
  const bool is_scaled = std::ranges::any_of(
      figures.distributions, [](const TensorDistribution& one) { return !one.ranges.empty(); });
  if (!is_scaled) return {};
  if (figures.advice.empty()) {
    return tag("p", prefix + "No tensor loses more than a bit to its outlier channels.");
  }
  Markup lines;
  for (const std::string& line : figures.advice) lines += tag("li", line);
  return details(fmt::format("{}What would help against costly outlier channels ({})", prefix,
                             figures.advice.size()),
                 tag("ul", {}, lines));
}

}  // namespace

Markup outlier_section(const ReportFigures& report) {
  Markup charts;
  Markup rest;
  for (std::size_t i = 0; i < report.results.size(); ++i) {
    const ResultFigures& one = report.results[i];
    if (one.outliers.empty()) {
      rest +=
          absent_from(report, i,
                      one.distributions.empty() ? kNoActivations
                                                : "has no tensor whose median channel ever fires.");
      continue;
    }
    charts += outlier_chart(report, i);
    charts += advice(result_prefix(report, i), one);
  }
  Markup content = charts.empty() ? Markup() : chart_grid(charts);
  content += rest;
  return page_section("outlier-part", "Outlier channels",
                      "Channels that stand far above the median channel of their tensor: one scale "
                      "for all must make room for them.",
                      content);
}

}  // namespace fp8cal
