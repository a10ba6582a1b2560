#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "coordinator/report/distribution_chart.hpp"
#include "coordinator/report/distribution_data.hpp"
#include "coordinator/report/page_parts.hpp"
#include "coordinator/report/sections.hpp"

namespace fp8cal {
namespace {

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
    items += legend_item(svg_rect(1, 1, 32, 10, css_class), name);
  }
  return legend(items);
}

}  // namespace

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
