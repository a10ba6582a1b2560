#include "coordinator/report/line_chart.hpp"

#include <fmt/format.h>

#include <cmath>

namespace fp8cal {
namespace {

constexpr double kHeight = 172;
constexpr PlotArea kArea = {
    .left = 44, .top = 20, .right = kChartWidth - 10, .bottom = kHeight - 32};
constexpr std::size_t kStyles = 6;
constexpr std::size_t kMostMarks = 16;  ///< with more points, marks would hide the line

std::string style_class(std::size_t style) { return fmt::format("s{}", style % kStyles); }

/// A circle, a square, a triangle, a diamond, ... of a few units.
Markup mark(double x, double y, std::size_t style) {
  constexpr double r = 3.2;
  std::string corners;
  switch (style % kStyles) {
    case 0:
    case 3:
      return tag("circle",
                 {{"cx", at(x)}, {"cy", at(y)}, {"r", at(r)}, {"class", "m " + style_class(style)}},
                 Markup());
    case 1:
    case 4:
      corners = fmt::format("{},{} {},{} {},{} {},{}", at(x - r), at(y - r), at(x + r), at(y - r),
                            at(x + r), at(y + r), at(x - r), at(y + r));
      break;
    default:
      corners = fmt::format("{},{} {},{} {},{}", at(x), at(y - r), at(x + r), at(y + r), at(x - r),
                            at(y + r));
  }
  return tag("polygon", {{"points", corners}, {"class", "m " + style_class(style)}}, Markup());
}

Markup draw_series(const Axis& x, const Axis& y, const Series& series) {
  std::string path;
  Markup marks;
  for (const auto& [px, py] : series.points) {
    if (!std::isfinite(py)) continue;
    const double cx = x.place(px, kArea.left, kArea.right);
    const double cy = y.place(py, kArea.bottom, kArea.top);
    path += fmt::format("{}{},{}", path.empty() ? "M" : " L", at(cx), at(cy));
    if (series.points.size() <= kMostMarks) marks += mark(cx, cy, series.style);
  }
  if (path.empty()) return {};
  Markup all = tag("path", {{"d", path}, {"class", "l " + style_class(series.style)}}, Markup());
  all += marks;
  return all;
}

Markup draw_intervals(const Axis& x, const Axis& y, const Series& series) {
  constexpr double kEnd = 3;
  Markup all;
  for (std::size_t i = 0; i < series.intervals.size(); ++i) {
    if (!series.intervals[i]) continue;
    const double cx = x.place(series.points[i].first, kArea.left, kArea.right);
    const double low = y.place(series.intervals[i]->first, kArea.bottom, kArea.top);
    const double high = y.place(series.intervals[i]->second, kArea.bottom, kArea.top);
    all += svg_line(cx, low, cx, high, "whisker");
    for (const double end : {low, high}) all += svg_line(cx - kEnd, end, cx + kEnd, end, "whisker");
  }
  return all;
}

Markup draw_band(double left, double low, double right, double high) {
  Markup all = svg_rect(left, high, right - left, low - high, "band");
  for (const double edge : {low, high}) all += svg_line(left, edge, right, edge, "guide");
  return all;
}

}  // namespace

Markup line_chart(const ChartText& text, const Axis& x, const Axis& y,
                  const std::vector<Series>& series,
                  const std::optional<std::pair<double, double>>& band,
                  const std::vector<std::pair<double, double>>& marked) {
  Markup all;
  if (band) {
    all += draw_band(kArea.left, y.place(band->first, kArea.bottom, kArea.top), kArea.right,
                     y.place(band->second, kArea.bottom, kArea.top));
  }
  all += axes(kArea, x, y);
  for (const Series& one : series) all += draw_intervals(x, y, one);
  for (const Series& one : series) all += draw_series(x, y, one);
  for (const auto& [px, py] : marked) {
    const double cx = x.place(px, kArea.left, kArea.right);
    const double cy = y.place(py, kArea.bottom, kArea.top);
    all += svg_line(cx, cy, cx, kArea.bottom, "guide");
    all += svg_dot(cx, cy);
  }
  return chart_figure(text, kHeight, all);
}

Markup band_sample() { return draw_band(0, 11, 34, 1); }

Markup line_legend_item(const Series& one) {
  Markup sample =
      tag("path", {{"d", "M0,6 L34,6"}, {"class", "l " + style_class(one.style)}}, Markup());
  sample += mark(17, 6, one.style);
  return legend_item(sample, one.name);
}

Markup line_legend(const std::vector<Series>& series) {
  Markup items;
  for (const Series& one : series) items += line_legend_item(one);
  return legend(items);
}

}  // namespace fp8cal
