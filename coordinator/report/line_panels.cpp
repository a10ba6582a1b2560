#include "coordinator/report/line_panels.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "coordinator/report/page_parts.hpp"

namespace fp8cal {
namespace {

using Point = std::pair<double, double>;

std::optional<Bounds> bounds_of(const std::vector<Panel>& panels, double Point::*coordinate) {
  std::optional<Bounds> bounds;
  for (const Panel& panel : panels) {
    for (const Series& series : panel.series) {
      for (const Point& point : series.points) {
        if (!std::isfinite(point.second)) continue;
        const double value = point.*coordinate;
        if (!bounds) bounds = Bounds{value, value};
        bounds->low = std::min(bounds->low, value);
        bounds->high = std::max(bounds->high, value);
      }
    }
  }
  return bounds;
}

TextTable numbers_of(const std::vector<Panel>& panels, const std::string& x) {
  TextTable table{.header = {x}, .rows = {}};
  std::map<double, std::vector<std::string>> rows;
  for (const Panel& panel : panels) {
    for (const Series& series : panel.series) {
      table.header.push_back(panel.text.title + ": " + series.name);
      for (const auto& [at_x, value] : series.points) {
        std::vector<std::string>& row = rows[at_x];
        row.resize(table.header.size(), "-");
        row.back() = std::isfinite(value) ? short_number(value) : "-";
      }
    }
  }
  for (auto& [at_x, row] : rows) {
    row.resize(table.header.size(), "-");
    row.front() = short_number(at_x);
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace

std::optional<Bounds> x_bounds(const std::vector<Panel>& panels) {
  return bounds_of(panels, &Point::first);
}

std::optional<Bounds> y_bounds(const std::vector<Panel>& panels) {
  return bounds_of(panels, &Point::second);
}

Markup panel_legend(const std::vector<Panel>& panels) {
  std::vector<Series> lines;
  for (const Panel& panel : panels) {
    for (const Series& one : panel.series) {
      const bool is_new = std::ranges::find(lines, one.name, &Series::name) == lines.end();
      if (is_new) lines.push_back({.name = one.name, .style = one.style, .points = {}});
    }
  }
  std::ranges::stable_sort(lines, {}, &Series::style);
  return line_legend(lines);
}

Markup panel_charts(const std::vector<Panel>& panels, const Axis& x, const Axis& y) {
  Markup charts;
  for (const Panel& panel : panels) {
    charts += line_chart(panel.text, x, y, panel.series, {}, panel.marked);
  }
  return chart_grid(charts);
}

Markup line_panels(const std::vector<Panel>& panels, const Axis& x, const Axis& y) {
  Markup all = panel_charts(panels, x, y);
  all += details("The numbers", html_table(numbers_of(panels, x.label), y.label));
  return all;
}

}  // namespace fp8cal
