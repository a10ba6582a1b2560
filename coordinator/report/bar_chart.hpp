#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/report/plot.hpp"

namespace fp8cal {

struct Bar {
  std::string label;
  std::string text;  ///< the value for people
  double value = 0;
  std::optional<std::pair<double, double>> interval = {};  ///< low, high
};

/// Bars to the right of zero, or to the left, one below the other; a bar that is not finite is told
/// of by its text alone. guides: lines across all bars, such as limits.
Markup bar_chart(const ChartText& text, const std::string& axis, const std::vector<Bar>& bars,
                 const std::vector<Tick>& guides = {});

}  // namespace fp8cal
