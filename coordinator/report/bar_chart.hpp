#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "coordinator/report/plot.hpp"

namespace fp8cal {

struct Bar {
  std::string label;
  std::string text;  ///< the value for people
  double value = 0;
  std::optional<std::pair<double, double>> interval = {};  ///< low, high
  std::optional<std::pair<double, double>> spread = {};    ///< least, most; of dots alone
  std::vector<double> parts = {};  ///< not below 0, from zero on; of stacked bars alone
};

/// From zero, or from below it, to all that is finite in `bars`.
Axis bar_axis(const std::string& label, const std::vector<Bar>& bars);

/// Bars to the right of zero, or to the left, one below the other; a bar that is not finite is told
/// of by its text alone. guides: lines across all bars, such as limits.
Markup bar_chart(const ChartText& text, const Axis& axis, const std::vector<Bar>& bars,
                 const std::vector<Tick>& guides = {});

/// The same with a dot in the place of each bar, on a band for its spread.
Markup dot_chart(const ChartText& text, const Axis& axis, const std::vector<Bar>& dots,
                 const std::vector<Tick>& guides = {});

/// The same with a bar of parts, filled as pattern_legend names them; their sum is the value.
Markup stacked_chart(const ChartText& text, const Axis& axis, const std::vector<Bar>& bars);

/// Samples of what a dot_chart draws; spread: what its bands are.
Markup dot_legend(std::string_view spread);

}  // namespace fp8cal
