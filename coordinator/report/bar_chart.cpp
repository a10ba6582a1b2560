#include "coordinator/report/bar_chart.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

namespace fp8cal {
namespace {

constexpr double kRow = 36;
constexpr double kThickness = 11;
constexpr double kWhisker = 4;

using Draw = Markup (*)(const Bar& bar, double y, const std::function<double(double)>& place);

Markup whisker(double low, double high, double y) {
  Markup all = svg_line(low, y, high, y, "whisker");
  for (const double x : {low, high}) all += svg_line(x, y - kWhisker, x, y + kWhisker, "whisker");
  return all;
}

/// Around y, which is the middle.
Markup draw_bar(const Bar& bar, double y, const std::function<double(double)>& place) {
  const double zero = place(0);
  const double end = place(bar.value);
  return svg_rect(std::min(zero, end), y - kThickness / 2, std::abs(end - zero), kThickness, "bar");
}

Markup draw_spread(const Bar& bar, double y, const std::function<double(double)>& place) {
  if (!bar.spread) return {};
  const double least = place(bar.spread->first);
  const double width = std::max(1.0, place(bar.spread->second) - least);
  return svg_rect(least, y - kThickness / 2, width, kThickness, "spread");
}

Markup draw_parts(const Bar& bar, double y, const std::function<double(double)>& place) {
  constexpr double kSmallest = 0.3;  // units of the picture
  Markup all;
  double from = 0;
  for (std::size_t i = 0; i < bar.parts.size(); ++i) {
    const double to = from + bar.parts[i];
    const double width = place(to) - place(from);
    if (width >= kSmallest) {
      all += svg_rect(place(from), y - kThickness / 2, width, kThickness, pattern_class(i));
    }
    from = to;
  }
  return all;
}

/// A label that would lie on the one before it is left out, its line is not.
Markup draw_guides(const PlotArea& area, const Axis& x, const std::vector<Tick>& guides) {
  constexpr double kCharacter = 6.5;
  Markup all;
  double free_from = 0;
  for (const Tick& guide : guides) {
    if (guide.value < x.low || guide.value > x.high) continue;
    const double place = x.place(guide.value, area.left, area.right);
    all += svg_line(place, area.top, place, area.bottom, "guide");
    const double half = kCharacter * static_cast<double>(guide.label.size()) / 2;
    if (place - half < free_from) continue;
    all += svg_text(place, area.top - 5, "tick mid", guide.label);
    free_from = place + half;
  }
  return all;
}

/// below, above: what lies under and over the whisker.
Markup rows_chart(const ChartText& text, const Axis& x, const std::vector<Bar>& bars,
                  const std::vector<Tick>& guides, Draw below, Draw above) {
  const double top = guides.empty() ? 4 : 20;
  const PlotArea area{.left = 16,
                      .top = top,
                      .right = kChartWidth - 14,
                      .bottom = top + kRow * static_cast<double>(bars.size())};
  const auto place = [&](double value) { return x.place(value, area.left, area.right); };
  Markup all = x_axis(area, x);
  all += draw_guides(area, x, guides);
  for (std::size_t i = 0; i < bars.size(); ++i) {
    const Bar& bar = bars[i];
    const double row = area.top + kRow * static_cast<double>(i);
    const double y = row + 18 + kThickness / 2;
    all += svg_text(area.left + 3, row + 13, "label", chart_label(bar.label));
    all += svg_text(area.right, row + 13, "value end", bar.text);
    if (!std::isfinite(bar.value)) continue;
    if (below != nullptr) all += below(bar, y, place);
    if (bar.interval) all += whisker(place(bar.interval->first), place(bar.interval->second), y);
    if (above != nullptr) all += above(bar, y, place);
  }
  all += svg_line(place(0), area.top, place(0), area.bottom, "axis");
  return chart_figure(text, area.bottom + 32, all);
}

}  // namespace

Axis bar_axis(const std::string& label, const std::vector<Bar>& bars) {
  double low = 0;
  double high = 0;
  for (const Bar& bar : bars) {
    const auto [from, to] = bar.interval.value_or(std::pair(bar.value, bar.value));
    const auto [least, most] = bar.spread.value_or(std::pair(bar.value, bar.value));
    for (const double end : {bar.value, from, to, least, most}) {
      if (!std::isfinite(end)) continue;
      low = std::min(low, end);
      high = std::max(high, end);
    }
  }
  return linear_axis(label, low, high, 5);
}

Markup bar_chart(const ChartText& text, const Axis& axis, const std::vector<Bar>& bars,
                 const std::vector<Tick>& guides) {
  return rows_chart(text, axis, bars, guides, draw_bar, nullptr);
}

Markup dot_chart(const ChartText& text, const Axis& axis, const std::vector<Bar>& dots,
                 const std::vector<Tick>& guides) {
  return rows_chart(text, axis, dots, guides, draw_spread,
                    [](const Bar& bar, double y, const std::function<double(double)>& place) {
                      return svg_dot(place(bar.value), y);
                    });
}

Markup stacked_chart(const ChartText& text, const Axis& axis, const std::vector<Bar>& bars) {
  return rows_chart(text, axis, bars, {}, draw_parts, nullptr);
}

Markup dot_legend(std::string_view spread) {
  Markup mean = whisker(4, 30, 6);
  mean += svg_dot(17, 6);
  Markup items = legend_item(mean, "mean, with its 95 % interval");
  items += legend_item(svg_rect(2, 1, 30, 10, "spread"), spread);
  return legend(items);
}

}  // namespace fp8cal
