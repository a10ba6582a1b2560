#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/report/plot.hpp"

namespace fp8cal {

struct Series {
  std::string name;
  std::size_t style = 0;                          ///< line and mark, told apart without colour
  std::vector<std::pair<double, double>> points;  ///< x, y; what is not finite is left out
  /// low, high of y: one a point, or none at all
  std::vector<std::optional<std::pair<double, double>>> intervals = {};
};

/// band: low, high of y, across the chart. marked: points with a dot and a line
/// down to the axis, such as where lines cross.
Markup line_chart(const ChartText& text, const Axis& x, const Axis& y,
                  const std::vector<Series>& series,
                  const std::optional<std::pair<double, double>>& band = {},
                  const std::vector<std::pair<double, double>>& marked = {});

/// A sample of a line_chart's band.
Markup band_sample();

/// Part of a legend.
Markup line_legend_item(const Series& one);

/// Which line is which: the names of `series`, for charts that share them.
Markup line_legend(const std::vector<Series>& series);

}  // namespace fp8cal
