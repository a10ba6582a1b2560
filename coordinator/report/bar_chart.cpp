#include "coordinator/report/bar_chart.hpp"

#include <algorithm>
#include <cmath>

namespace fp8cal {
namespace {

constexpr double kRow = 36;
constexpr double kThickness = 11;
constexpr double kWhisker = 4;

Axis axis_of(const std::string& label, const std::vector<Bar>& bars) {
  double low = 0;
  double high = 0;
  for (const Bar& bar : bars) {
    const auto [from, to] = bar.interval.value_or(std::pair(bar.value, bar.value));
    for (const double end : {bar.value, from, to}) {
      if (!std::isfinite(end)) continue;
      low = std::min(low, end);
      high = std::max(high, end);
    }
  }
  return linear_axis(label, low, high, 5);
}

Markup draw_bar(const PlotArea& area, const Axis& x, const Bar& bar, double top) {
  Markup all = svg_text(area.left + 3, top + 13, "label", bar.label);
  all += svg_text(area.right, top + 13, "value end", bar.text);
  if (!std::isfinite(bar.value)) return all;
  const auto place = [&](double value) { return x.place(value, area.left, area.right); };
  const double zero = place(0);
  const double end = place(bar.value);
  const double y = top + 18;
  all += svg_rect(std::min(zero, end), y, std::abs(end - zero), kThickness, "bar");
  if (!bar.interval) return all;
  const double low = place(bar.interval->first);
  const double high = place(bar.interval->second);
  const double middle = y + kThickness / 2;
  all += svg_line(low, middle, high, middle, "whisker");
  for (const double x_end : {low, high}) {
    all += svg_line(x_end, middle - kWhisker, x_end, middle + kWhisker, "whisker");
  }
  return all;
}

}  // namespace

Markup bar_chart(const ChartText& text, const std::string& axis, const std::vector<Bar>& bars,
                 const std::vector<Tick>& guides) {
  const Axis x = axis_of(axis, bars);
  const double top = guides.empty() ? 4 : 20;
  const PlotArea area{.left = 10,
                      .top = top,
                      .right = kChartWidth - 14,
                      .bottom = top + kRow * static_cast<double>(bars.size())};
  Markup all = x_axis(area, x);
  for (const Tick& guide : guides) {
    if (guide.value < x.low || guide.value > x.high) continue;
    const double place = x.place(guide.value, area.left, area.right);
    all += svg_line(place, area.top, place, area.bottom, "guide");
    all += svg_text(place, area.top - 5, "tick mid", guide.label);
  }
  for (std::size_t i = 0; i < bars.size(); ++i) {
    all += draw_bar(area, x, bars[i], area.top + kRow * static_cast<double>(i));
  }
  const double zero = x.place(0, area.left, area.right);
  all += svg_line(zero, area.top, zero, area.bottom, "axis");
  return chart_figure(text, area.bottom + 32, all);
}

}  // namespace fp8cal
