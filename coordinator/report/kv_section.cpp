#include <algorithm>

#include "coordinator/report/line_panels.hpp"
#include "coordinator/report/page_parts.hpp"
#include "coordinator/report/sections.hpp"

namespace fp8cal {
namespace {

Panel panel_of(const ReportFigures& report, std::size_t index, const char* name, const char* title,
               const std::vector<KvRange>& ranges) {
  Series amax{.name = "largest head", .style = 0, .points = {}};
  Series head{.name = "smallest head", .style = 1, .points = {}};
  Series most{.name = "99.9 % of the elements", .style = 2, .points = {}};
  for (const KvRange& one : ranges) {
    const auto layer = static_cast<double>(one.layer);
    amax.points.emplace_back(layer, one.amax);
    if (one.smallest_head) head.points.emplace_back(layer, *one.smallest_head);
    most.points.emplace_back(layer, one.most);
  }
  return {{.id = chart_id(name, index),
           .title = result_prefix(report, index) + title,
           .description = "Magnitudes by layer: amax of the head with the largest and the "
                          "smallest, and what 99.9 % of the elements do not exceed."},
          {amax, head, most}};
}

/// Of all results the keys, then the values.
std::vector<Panel> panels_of(const ReportFigures& report) {
  std::vector<Panel> panels;
  const auto add = [&](const char* name, const char* title, std::vector<KvRange> KvFigure::*list) {
    for (std::size_t i = 0; i < report.results.size(); ++i) {
      const std::vector<KvRange>& ranges = report.results[i].kv.*list;
      if (!ranges.empty()) panels.push_back(panel_of(report, i, name, title, ranges));
    }
  };
  add("keys", "keys (K)", &KvFigure::keys);
  add("values", "values (V)", &KvFigure::values);
  return panels;
}

/// Zero has no place on a logarithmic axis; a tensor of zeros is drawn at its lower end.
Axis magnitude_axis(const std::vector<Panel>& panels) {
  const double high = y_bounds(panels)->high;
  if (high == 0) return linear_axis("magnitude", 0, 1, 4);
  double low = high;
  for (const Panel& panel : panels) {
    for (const Series& series : panel.series) {
      for (const auto& [layer, value] : series.points) {
        if (value > 0) low = std::min(low, value);
      }
    }
  }
  return log_axis("magnitude", low, high);
}

}  // namespace

Markup kv_section(const ReportFigures& report) {
  Markup content;
  const std::vector<Panel> panels = panels_of(report);
  if (const auto layers = x_bounds(panels)) {
    content += line_legend(panels.front().series);
    content += line_panels(panels, layer_axis(layers->low, layers->high), magnitude_axis(panels));
  }
  for (std::size_t i = 0; i < report.results.size(); ++i) {
    const KvFigure& kv = report.results[i].kv;
    if (kv.keys.empty() && kv.values.empty()) {
      content += absent_from(report, i, "holds no keys and values.");
    }
  }
  return page_section(
      "kv-part", "Keys and values",
      "How wide the ranges of the KV cache are, and whether heads differ enough for "
      "a scale each.",
      content);
}

}  // namespace fp8cal
