#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "coordinator/report/bar_chart.hpp"
#include "coordinator/report/distribution_chart.hpp"
#include "coordinator/report/distribution_data.hpp"
#include "coordinator/report/heat_map.hpp"
#include "coordinator/report/page_parts.hpp"
#include "coordinator/report/sections.hpp"

namespace fp8cal {
namespace {

constexpr const char* kNoActivations = "holds no distributions of activations.";

const ScaledRange* first_range(const TensorDistribution& tensor) {
  return tensor.ranges.empty() ? nullptr : &tensor.ranges.front();
}

Markup distribution_figure(const ReportFigures& report, std::size_t index,
                           const TensorDistribution& tensor) {
  const ScaledRange* range = first_range(tensor);
  const std::string says = range_sentence(tensor, range);
  Markup figure = distribution_chart(
      {.id = fmt::format("{}-{}", chart_id("distribution", index), tensor.place->column),
       .title = result_prefix(report, index) + tensor.module,
       .description = says},
      tensor, range);
  figure += tag("p", {{"class", "under"}}, says);
  return tag("div", {}, figure);
}

/// Of each column the tensor that loses most in the first result that has some, and the same one of
/// the other results beside it.
Markup worst_distributions(const ReportFigures& report) {
  std::map<std::size_t, std::string> modules;  // by column
  for (const ResultFigures& one : report.results) {
    for (const std::size_t worst : worst_of_columns(one.distributions)) {
      const TensorDistribution& tensor = one.distributions[worst];
      modules.emplace(tensor.place->column, tensor.module);
    }
  }
  Markup figures;
  for (const auto& [column, module] : modules) {
    for (std::size_t i = 0; i < report.results.size(); ++i) {
      const auto& tensors = report.results[i].distributions;
      const auto same = std::ranges::find(tensors, module, &TensorDistribution::module);
      if (same != tensors.end()) figures += distribution_figure(report, i, *same);
    }
  }
  return figures;
}

/// What page.js fills; it stays hidden without scripts.
Markup chosen_distribution() {
  Markup label = Markup::text("Any tensor: ");
  label += tag("select", {{"id", "choose-tensor"}}, Markup());
  Markup content = tag("p", {}, tag("label", {}, label));
  content += chart_figure({.id = "distribution-chosen",
                           .title = "Chosen tensor",
                           .description = "The distribution of the tensor chosen above; the "
                                          "sentence below says the same in words."},
                          200, Markup());
  content += tag("p", {{"id", "chosen-says"}, {"class", "under"}, {"aria-live", "polite"}}, "");
  return tag("div", {{"id", "chosen"}, {"hidden", "hidden"}}, content);
}

Markup pattern_legend() {
  Markup items;
  for (const auto& [css_class, name] :
       {std::pair("kept", "kept by the scale"), std::pair("clipped", "clipped: beyond its largest"),
        std::pair("flushed", "flushed: becomes zero")}) {
    Markup item = tag("svg", {{"class", "key"}, {"viewBox", "0 0 34 12"}, {"aria-hidden", "true"}},
                      svg_rect(1, 1, 32, 10, css_class));
    item += Markup::text(name);
    items += tag("li", {}, item);
  }
  return tag("ul", {{"class", "legend"}}, items);
}

Markup outlier_chart(const ReportFigures& report, std::size_t index) {
  std::vector<Bar> bars;
  for (const OutlierChannel& one : report.results[index].outliers) {
    bars.push_back(
        {.label = fmt::format("{}, channel {}", tensor_title(one.module), one.channel),
         .text = fmt::format("{:.1f} x, amax {}", one.over_median, short_number(one.amax)),
         .value = one.over_median});
  }
  return bar_chart({.id = chart_id("outliers", index),
                    .title = result_prefix(report, index) + "Largest outlier channels",
                    .description = "Bars: amax of a channel over that of the median channel of "
                                   "its tensor."},
                   "times the median channel", bars);
}

}  // namespace

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

Markup outlier_section(const ReportFigures& report) {
  Markup charts;
  Markup rest;
  for (std::size_t i = 0; i < report.results.size(); ++i) {
    const ResultFigures& one = report.results[i];
    if (one.outliers.empty()) {
      rest +=
          absent_from(report, i,
                      one.distributions.empty() ? kNoActivations
                                                : "has no tensor whose median channel ever fires.");
      continue;
    }
    charts += outlier_chart(report, i);
    Markup lines;
    for (const std::string& line : one.advice) lines += tag("li", line);
    const std::string prefix = result_prefix(report, i);
    if (!one.advice.empty()) {
      charts += details(fmt::format("{}What would help against costly outlier channels ({})",
                                    prefix, one.advice.size()),
                        tag("ul", {}, lines));
    } else if (!one.recipes.empty()) {
      charts += tag("p", prefix + "No tensor loses more than a bit to its outlier channels.");
    }
  }
  Markup content = charts.empty() ? Markup() : chart_grid(charts);
  content += rest;
  return page_section("outlier-part", "Outlier channels",
                      "Channels that stand far above the median channel of their tensor: one scale "
                      "for all must make room for them.",
                      content);
}

Markup distribution_section(const ReportFigures& report) {
  const Markup charts = worst_distributions(report);
  Markup missing;
  for (std::size_t i = 0; i < report.results.size(); ++i) {
    if (report.results[i].distributions.empty()) missing += absent_from(report, i, kNoActivations);
  }
  Markup content;
  if (!charts.empty()) {
    content += pattern_legend();
    Markup all = chosen_distribution();
    all += charts;
    content += chart_grid(all);
    content += distribution_data(report);
  }
  content += missing;
  return page_section("distribution-part", "Distributions and their scales",
                      "What a static scale keeps of a tensor, from exact counts of every value. "
                      "Drawn are, of each kind, the tensors that lose most.",
                      content);
}

}  // namespace fp8cal
