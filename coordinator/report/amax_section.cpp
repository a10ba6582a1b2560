#include "coordinator/report/heat_map.hpp"
#include "coordinator/report/page_parts.hpp"
#include "coordinator/report/sections.hpp"

namespace fp8cal {

Markup amax_section(const ReportFigures& report) {
  std::vector<const LayerGrid*> grids;
  for (const ResultFigures& one : report.results) grids.push_back(&one.amax);
  const ShadeRange range = shade_range(grids);
  Markup maps;
  Markup missing;
  for (std::size_t i = 0; i < report.results.size(); ++i) {
    const LayerGrid& grid = report.results[i].amax;
    if (grid.empty()) missing += absent_from(report, i, kNoActivations);
    maps += heat_maps({.id = chart_id("amax", i),
                       .title = result_prefix(report, i) + "amax",
                       .description = "Largest magnitude of each observed tensor, a row a layer, "
                                      "a column a kind of tensor; darker is larger."},
                      grid, range);
  }
  Markup content;
  if (!maps.empty()) {
    maps += shade_legend({.id = "amax-legend",
                          .title = "Shades: from this magnitude on",
                          .description = "Nine shades on a logarithmic scale."},
                         range);
    content += chart_grid(maps);
  }
  content += missing;
  return page_section("amax-part", "Largest activations",
                      "Which layers and modules have the largest inputs, keys and values.",
                      content);
}

}  // namespace fp8cal
