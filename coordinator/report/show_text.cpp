#include "coordinator/report/show_text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "coordinator/report/axis.hpp"
#include "coordinator/report/latency_text.hpp"
#include "coordinator/report/percentage.hpp"
#include "coordinator/report/sparkline.hpp"
#include "coordinator/report/tensor_place.hpp"
#include "coordinator/scales/tensor_diagnostics.hpp"
#include "coordinator/status/printable.hpp"
#include "coordinator/status/text_table.hpp"

namespace fp8cal {
namespace {

constexpr std::size_t kSparklineWidth = 40;
constexpr const char* kNone = "-";

std::string verdict_table(const ResultFigures& figures) {
  TextTable table;
  table.header = {"variant", "perplexity", "difference", "95 % interval",
                  "mean KL", "top-1",      "verdict"};
  if (figures.bf16) table.rows.push_back({"bf16", fmt::format("{:.4f}", *figures.bf16)});
  for (const RecipeFigures& one : figures.recipes) {
    const auto& difference = one.difference;
    table.rows.push_back(
        {one.recipe, fmt::format("{:.4f}", one.perplexity),
         difference ? fmt::format("{:+.4f}", difference->difference) : kNone,
         one.has_interval ? fmt::format("{:+.4f} to {:+.4f}", difference->low, difference->high)
                          : kNone,
         one.mean_kl ? fmt::format("{:.5f}", *one.mean_kl) : kNone,
         one.top1_agreement ? fmt::format("{:.2f} %", 100 * *one.top1_agreement) : kNone,
         difference ? one.verdict : "not compared with BF16"});
  }
  return table.rows.empty() ? "no perplexity in this result\n" : aligned_text(table);
}

std::string standing_lines(const Standing& standing) {
  std::string text =
      standing.obstacles.empty()
          ? "reportable: calibration and evaluation text do not overlap\n"
          : printable(fmt::format("not reportable: {}", fmt::join(standing.obstacles, "; "))) +
                "\n";
  for (const std::string& warning : standing.warnings) {
    text += fmt::format("warning: {}\n", printable(warning));
  }
  return text;
}

/// A row a column of `grid`: least, greatest, and how it runs over the layers.
std::string sparklines(const LayerGrid& grid, const char* what) {
  TextTable table{.header = {what, "least", "most", "layer by layer"}, .rows = {}};
  for (std::size_t column = 0; column < grid.columns.size(); ++column) {
    std::vector<double> values;
    for (const auto& [layer, row] : grid.rows) values.push_back(row[column].value_or(NAN));
    std::vector<double> finite = values;
    std::erase_if(finite, [](double value) { return !std::isfinite(value); });
    if (finite.empty()) continue;
    const auto [least, most] = std::ranges::minmax(finite);
    table.rows.push_back({grid.columns[column], short_number(least), short_number(most),
                          sparkline(values, kSparklineWidth)});
  }
  return fmt::format("\n{}", aligned_text(table));
}

/// A row a layer: amax of each kind of tensor, and the lowest signal-to-noise ratio.
std::string layer_table(const ResultFigures& figures) {
  TextTable table{.header = {"layer"}, .rows = {}};
  for (const SiteName& site : kSiteNames) table.header.emplace_back(site.column);
  table.header.emplace_back("worst SQNR");
  for (const auto& [layer, row] : figures.amax.rows) {
    std::vector<std::string> cells = {fmt::to_string(layer)};
    for (const auto& value : row) cells.push_back(value ? short_number(*value) : kNone);
    double worst = HUGE_VAL;
    for (const SqnrFigure& figure : figures.sqnr) {
      const auto own = figure.grid.rows.find(layer);
      if (own == figure.grid.rows.end()) continue;
      for (const auto& value : own->second) worst = std::min(worst, value.value_or(HUGE_VAL));
    }
    cells.push_back(std::isfinite(worst) ? fmt::format("{:.1f} dB", worst) : kNone);
    table.rows.push_back(std::move(cells));
  }
  return "\namax by layer, and what quantizing costs there\n" + aligned_text(table);
}

std::string outlier_table(const ResultFigures& figures) {
  TextTable table{.header = {"outlier channels", "channel", "amax", "over median"}, .rows = {}};
  for (const OutlierChannel& one : figures.outliers) {
    if (table.rows.size() == 5) break;
    table.rows.push_back({one.module, fmt::to_string(one.channel), short_number(one.amax),
                          fmt::format("{:.1f} x", one.over_median)});
  }
  std::string text = table.rows.empty() ? "" : fmt::format("\n{}", aligned_text(table));
  for (const std::string& line : figures.advice) text += fmt::format("{}\n", printable(line));
  return text;
}

/// Of each kind of tensor, the one that loses most.
std::string worst_table(const ResultFigures& figures) {
  TextTable table{.header = {"worst of its kind", "scale", "clipped", "flushed", "SQNR"},
                  .rows = {}};
  for (const std::size_t index : worst_of_columns(figures.distributions)) {
    const TensorDistribution& tensor = figures.distributions[index];
    if (tensor.ranges.empty() || tensor.ranges.front().per_head) continue;
    const ScaledRange& range = tensor.ranges.front();
    const double sqnr = sqnr_db(range.error);
    table.rows.push_back({tensor.module, short_number(range.scale),
                          percentage(range.error.clipped, range.error.elements),
                          percentage(range.error.flushed, range.error.elements),
                          std::isfinite(sqnr) ? fmt::format("{:.1f} dB", sqnr) : "exact"});
  }
  return table.rows.empty() ? "" : fmt::format("\n{}", aligned_text(table));
}

std::string throughput_table(const TimelineFigure& timeline) {
  if (timeline.throughput.empty()) return "\nthis result has no timeline\n";
  TextTable table{.header = {"rank", "stage", "seconds", "tokens/s of all ranks"}, .rows = {}};
  for (const RankThroughput& one : timeline.throughput) {
    const bool computes = one.tokens > 0 && one.seconds > 0;
    table.rows.push_back(
        {fmt::to_string(one.rank), one.stage, fmt::format("{:.3f}", one.seconds),
         computes ? fmt::format("{:.0f}", static_cast<double>(one.tokens) / one.seconds) : kNone});
  }
  return fmt::format("\n{}", aligned_text(table));
}

std::string origin_table(const ResultFigures& figures) {
  TextTable table{.header = {"from", printable(figures.file)}, .rows = {}};
  for (const Fact& fact : figures.facts.origin) table.rows.push_back({fact.name, fact.value});
  return fmt::format("\n{}", aligned_text(table));
}

}  // namespace

std::string show_text(const ResultFigures& figures) {
  std::string text = verdict_table(figures) + standing_lines(figures.standing);
  if (figures.amax.empty()) {
    text += "\nno distributions of activations in this result\n";
  } else {
    text += sparklines(figures.amax, "amax") + layer_table(figures);
  }
  for (const SqnrFigure& one : figures.sqnr) {
    const std::string what =
        fmt::format("SQNR, dB, {}{}", fmt::join(one.recipes, ", "), one.weights ? ", weights" : "");
    text += sparklines(one.grid, what.c_str());
  }
  if (figures.sqnr.empty()) text += "\nno diagnostics in this result\n";
  text += worst_table(figures) + outlier_table(figures);
  const auto& warnings = figures.standing.warnings;
  const bool is_told = std::ranges::find(warnings, figures.convergence_line) != warnings.end();
  if (!figures.convergence_line.empty() && !is_told) {
    text += fmt::format("\n{}\n", printable(figures.convergence_line));
  }
  text += throughput_table(figures.timeline) + origin_table(figures);
  return figures.latency ? text + "\n" + latency_text(*figures.latency, figures.file) : text;
}

}  // namespace fp8cal
