#include <fmt/format.h>

#include "coordinator/report/bar_chart.hpp"
#include "coordinator/report/page_parts.hpp"
#include "coordinator/report/sections.hpp"
#include "coordinator/report/verdict_parts.hpp"

namespace fp8cal {
namespace {

Markup difference_chart(const ReportFigures& report) {
  std::vector<Bar> bars;
  for (std::size_t i = 0; i < report.results.size(); ++i) {
    for (const RecipeFigures& one : report.results[i].recipes) {
      if (!one.difference) continue;
      Bar bar{.label = result_prefix(report, i) + one.recipe,
              .text = fmt::format("{:+.4f}", one.difference->difference),
              .value = one.difference->difference};
      if (one.has_interval) bar.interval = {one.difference->low, one.difference->high};
      bars.push_back(bar);
    }
  }
  if (bars.empty()) return {};
  return bar_chart({.id = "difference",
                    .title = "Perplexity above BF16, with 95 % intervals",
                    .description = "Bars: perplexity of each recipe minus that of BF16. Whiskers: "
                                   "95 % intervals. Dashed lines: where verdicts change."},
                   bar_axis("difference in perplexity", bars), bars, verdict_limits());
}

Markup perplexity_chart(const ReportFigures& report) {
  std::vector<Bar> bars;
  const auto add = [&bars](const std::string& label, double value) {
    bars.push_back({.label = label, .text = fmt::format("{:.4f}", value), .value = value});
  };
  for (std::size_t i = 0; i < report.results.size(); ++i) {
    const std::string prefix = result_prefix(report, i);
    if (report.results[i].bf16) add(prefix + "bf16", *report.results[i].bf16);
    for (const RecipeFigures& one : report.results[i].recipes) {
      add(prefix + one.recipe, one.perplexity);
    }
  }
  if (bars.empty()) return {};
  return bar_chart({.id = "perplexity",
                    .title = "Perplexity",
                    .description = "Bars from zero: perplexity of each variant."},
                   bar_axis("perplexity", bars), bars);
}

}  // namespace

Markup perplexity_section(const ReportFigures& report) {
  Markup content;
  Markup charts = difference_chart(report);
  if (!charts.empty()) {
    charts += tag("p", {{"class", "under"}}, "Dashed lines: where the verdict changes.");
    charts = tag("div", {}, charts);
  }
  charts += perplexity_chart(report);
  if (!charts.empty()) content += chart_grid(charts);
  for (std::size_t i = 0; i < report.results.size(); ++i) {
    const ResultFigures& one = report.results[i];
    if (!one.bf16 && one.recipes.empty()) content += absent_from(report, i, "holds no perplexity.");
    if (!one.bf16 && !one.recipes.empty()) {
      content += absent_from(report, i, "holds no perplexity in BF16, so there is no difference.");
    }
  }
  return page_section("perplexity-part", "Perplexity",
                      "What FP8 costs on the evaluation text, and how sure that is.", content);
}

}  // namespace fp8cal
