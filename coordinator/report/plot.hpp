#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "coordinator/report/axis.hpp"
#include "coordinator/report/markup.hpp"

namespace fp8cal {

/// A chart's size in the units of its picture: one fits a phone, more stand side by side.
inline constexpr double kChartWidth = 328;

/// Where a chart draws: the corners of its area, in the units of its picture.
struct PlotArea {
  double left = 0;
  double top = 0;
  double right = 0;
  double bottom = 0;
};

/// What a picture shows, for those who do not see it.
struct ChartText {
  std::string id;           ///< of the picture in the page
  std::string title;        ///< above it
  std::string description;  ///< what it says, in a sentence
};

/// A figure: the title above a picture of kChartWidth times `height`.
Markup chart_figure(const ChartText& text, double height, const Markup& content);

/// Grid lines, ticks and labels of the two sides of `area`; the label of `y` may be empty.
Markup axes(const PlotArea& area, const Axis& x, const Axis& y);

/// The lower side of `area` alone; grid lines up to its top.
Markup x_axis(const PlotArea& area, const Axis& x);

/// Part of a list that says what is what: a sample drawn in 34 x 12 units, and its name.
Markup legend_item(const Markup& sample, std::string_view name);
Markup legend(const Markup& items);

/// The class of part `index` of bars, each filled otherwise: told apart without colour.
std::string pattern_class(std::size_t index);

/// Which pattern is which part.
Markup pattern_legend(const std::vector<std::string>& names);

/// `text`, cut where it would not fit into a row of a chart beside a number.
std::string chart_label(std::string_view text);

Markup svg_text(double x, double y, const char* css_class, std::string_view text);
Markup svg_line(double x1, double y1, double x2, double y2, const char* css_class);
Markup svg_dot(double x, double y);
Markup svg_rect(double x, double y, double width, double height, const std::string& css_class);

}  // namespace fp8cal
