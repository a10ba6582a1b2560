#include "coordinator/report/heat_map.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace fp8cal {
namespace {

constexpr double kTop = 34;
constexpr double kLeft = 40;
constexpr double kRow = 18;
constexpr std::size_t kShades = 9;
constexpr std::size_t kLightTextFrom = 5;  ///< shades that are too dark for dark text

std::size_t shade_of(double value, const ShadeRange& range) {
  if (!(value > range.low) || range.high <= range.low) return 0;
  const double share = std::log(value / range.low) / std::log(range.high / range.low);
  return std::min(static_cast<std::size_t>(share * kShades), kShades - 1);
}

Markup draw_cell(double x, double y, double width, double value, const ShadeRange& range) {
  const std::size_t shade = std::isfinite(value) ? shade_of(value, range) : kShades - 1;
  Markup cell = svg_rect(x, y, width - 1, kRow - 1, fmt::format("h{}", shade));
  cell += svg_text(x + width / 2, y + kRow - 5.5,
                   shade >= kLightTextFrom ? "cell light" : "cell dark", short_number(value));
  return cell;
}

using Row = std::map<std::size_t, std::vector<std::optional<double>>>::const_iterator;

Markup heat_map(const ChartText& text, const LayerGrid& grid, Row begin, Row end,
                const ShadeRange& range) {
  const double width = (kChartWidth - kLeft) / static_cast<double>(grid.columns.size());
  Markup all = svg_text(0, kTop - 8, "name", "layer");
  const auto left = [&](std::size_t column) { return kLeft + width * static_cast<double>(column); };
  for (std::size_t column = 0; column < grid.columns.size(); ++column) {
    all += svg_text(left(column) + width / 2, kTop - 8, "name mid", grid.columns[column]);
  }
  double y = kTop;
  for (Row row = begin; row != end; ++row, y += kRow) {
    all += svg_text(kLeft - 6, y + kRow - 5.5, "tick end", fmt::to_string(row->first));
    for (std::size_t column = 0; column < grid.columns.size(); ++column) {
      const std::optional<double> value = row->second[column];
      if (value) all += draw_cell(left(column), y, width, *value, range);
    }
  }
  return chart_figure(text, y + 4, all);
}

}  // namespace

ShadeRange shade_range(const std::vector<const LayerGrid*>& grids) {
  ShadeRange range{HUGE_VAL, 0};
  for (const LayerGrid* grid : grids) {
    for (const auto& [layer, row] : grid->rows) {
      for (const std::optional<double>& value : row) {
        if (!value || !(*value > 0) || !std::isfinite(*value)) continue;
        range.low = std::min(range.low, *value);
        range.high = std::max(range.high, *value);
      }
    }
  }
  return range.high > 0 ? range : ShadeRange{1, 1};
}

Markup heat_maps(const ChartText& text, const LayerGrid& grid, const ShadeRange& range) {
  const std::size_t pictures = (grid.rows.size() + kMostRows - 1) / kMostRows;
  Markup all;
  auto begin = grid.rows.begin();
  for (std::size_t i = 0; i < pictures; ++i) {
    const std::size_t rows = (grid.rows.size() - grid.rows.size() * i / pictures) -
                             (grid.rows.size() - grid.rows.size() * (i + 1) / pictures);
    const auto end = std::next(begin, static_cast<std::ptrdiff_t>(rows));
    ChartText own = text;
    if (i > 0) own.id += fmt::format("-{}", i + 1);
    own.title += fmt::format(", layers {} to {}", begin->first, std::prev(end)->first);
    all += heat_map(own, grid, begin, end, range);
    begin = end;
  }
  return all;
}

Markup shade_legend(const ChartText& text, const ShadeRange& range) {
  constexpr double kWidth = kChartWidth / kShades;
  Markup all;
  for (std::size_t shade = 0; shade < kShades; ++shade) {
    const double x = kWidth * static_cast<double>(shade);
    const double share = static_cast<double>(shade) / kShades;
    const double from = range.low * std::pow(range.high / range.low, share);
    all += svg_rect(x, 0, kWidth - 1, 14, fmt::format("h{}", shade));
    all += svg_text(x, 26, "tick", short_number(from));
  }
  return chart_figure(text, 30, all);
}

}  // namespace fp8cal
