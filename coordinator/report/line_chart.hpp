#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/report/plot.hpp"

namespace fp8cal {

struct Series {
  std::string name;
  std::size_t style = 0;                          ///< line and mark, told apart without colour
  std::vector<std::pair<double, double>> points;  ///< x, y; what is not finite is left out
};

/// The least and the greatest finite y of all points; `otherwise` where there is none.
std::pair<double, double> y_range(const std::vector<Series>& series,
                                  std::pair<double, double> otherwise);

Markup line_chart(const ChartText& text, const Axis& x, const Axis& y,
                  const std::vector<Series>& series);

/// Which line is which, for charts that share it: names by style.
Markup line_legend(const std::vector<std::pair<std::size_t, std::string>>& names);

}  // namespace fp8cal
