#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "coordinator/report/line_chart.hpp"

namespace fp8cal {

/// One of several line charts that share their axes.
struct Panel {
  ChartText text;
  std::vector<Series> series;
  std::vector<std::pair<double, double>> marked = {};  ///< as of line_chart
};

/// The least and the greatest of a coordinate over all finite points of all panels.
struct Bounds {
  double low = 0;
  double high = 0;
};

/// None where there is no point.
std::optional<Bounds> x_bounds(const std::vector<Panel>& panels);
std::optional<Bounds> y_bounds(const std::vector<Panel>& panels);

/// Which line is which in any of the panels: each name once, in the order of styles.
Markup panel_legend(const std::vector<Panel>& panels);

/// The charts, side by side.
Markup panel_charts(const std::vector<Panel>& panels, const Axis& x, const Axis& y);

/// The charts, side by side, then their numbers: a row an x, a column a line.
Markup line_panels(const std::vector<Panel>& panels, const Axis& x, const Axis& y);

}  // namespace fp8cal
