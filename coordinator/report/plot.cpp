#include "coordinator/report/plot.hpp"

#include <fmt/format.h>

#include "coordinator/status/printable.hpp"
#include "jobs/utf8.hpp"

namespace fp8cal {

std::string chart_label(std::string_view text) {
  constexpr std::size_t kMost = 42;  // characters
  const std::string whole = printable(text);
  std::size_t end = 0;
  for (std::size_t count = 0; end < whole.size(); ++count) {
    if (count == kMost) return whole.substr(0, end) + "\u2026";
    end += utf8_length(static_cast<unsigned char>(whole[end]));
  }
  return whole;
}

Markup svg_text(double x, double y, const char* css_class, std::string_view text) {
  return tag("text", {{"x", at(x)}, {"y", at(y)}, {"class", css_class}}, text);
}

Markup svg_line(double x1, double y1, double x2, double y2, const char* css_class) {
  return tag("line",
             {{"x1", at(x1)}, {"y1", at(y1)}, {"x2", at(x2)}, {"y2", at(y2)}, {"class", css_class}},
             Markup());
}

Markup svg_dot(double x, double y) {
  return tag("circle", {{"cx", at(x)}, {"cy", at(y)}, {"r", "4.5"}, {"class", "dot"}}, Markup());
}

Markup svg_rect(double x, double y, double width, double height, const std::string& css_class) {
  return tag("rect",
             {{"x", at(x)},
              {"y", at(y)},
              {"width", at(width)},
              {"height", at(height)},
              {"class", css_class}},
             Markup());
}

Markup chart_figure(const ChartText& text, double height, const Markup& content) {
  Markup inside = tag("title", {{"id", text.id + "-title"}}, text.title);
  inside += tag("desc", {{"id", text.id + "-desc"}}, text.description);
  inside += content;
  Markup figure = tag("figcaption", text.title);
  figure += tag("svg",
                {{"id", text.id},
                 {"class", "chart"},
                 {"role", "img"},
                 {"aria-labelledby", text.id + "-title " + text.id + "-desc"},
                 {"viewBox", "0 0 " + at(kChartWidth) + " " + at(height)}},
                inside);
  return tag("figure", {}, figure);
}

Markup legend_item(const Markup& sample, std::string_view name) {
  Markup item =
      tag("svg", {{"class", "key"}, {"viewBox", "0 0 34 12"}, {"aria-hidden", "true"}}, sample);
  item += Markup::text(name);
  return tag("li", {}, item);
}

Markup legend(const Markup& items) { return tag("ul", {{"class", "legend"}}, items); }

std::string pattern_class(std::size_t index) {
  constexpr std::size_t kPatterns = 6;
  return fmt::format("p{}", index % kPatterns);
}

Markup pattern_legend(const std::vector<std::string>& names) {
  Markup items;
  for (std::size_t i = 0; i < names.size(); ++i) {
    items += legend_item(svg_rect(1, 1, 32, 10, pattern_class(i)), names[i]);
  }
  return legend(items);
}

Markup x_axis(const PlotArea& area, const Axis& x) {
  Markup all;
  for (const Tick& tick : x.ticks) {
    const double place = x.place(tick.value, area.left, area.right);
    all += svg_line(place, area.top, place, area.bottom, "grid");
    all += svg_text(place, area.bottom + 12, "tick mid", tick.label);
  }
  all += svg_text((area.left + area.right) / 2, area.bottom + 25, "name mid", x.label);
  return all;
}

Markup axes(const PlotArea& area, const Axis& x, const Axis& y) {
  Markup all = x_axis(area, x);
  for (const Tick& tick : y.ticks) {
    const double place = y.place(tick.value, area.bottom, area.top);
    all += svg_line(area.left, place, area.right, place, "grid");
    all += svg_text(area.left - 4, place + 3.5, "tick end", tick.label);
  }
  if (!y.label.empty()) all += svg_text(0, area.top - 7, "name", y.label);
  all += svg_line(area.left, area.bottom, area.right, area.bottom, "axis");
  all += svg_line(area.left, area.top, area.left, area.bottom, "axis");
  return all;
}

}  // namespace fp8cal
