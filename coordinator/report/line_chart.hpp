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

Markup line_chart(const ChartText& text, const Axis& x, const Axis& y,
                  const std::vector<Series>& series);

/// Which line is which: the names of `series`, for charts that share them.
Markup line_legend(const std::vector<Series>& series);

}  // namespace fp8cal
