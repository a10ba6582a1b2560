#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "coordinator/report/axis.hpp"
#include "coordinator/report/comparison_figure.hpp"
#include "coordinator/report/page_parts.hpp"
#include "coordinator/report/sections.hpp"

namespace fp8cal {
namespace {

/// What differs in the content of the first result and another one.
Markup kinds_table(const ReportFigures& report, std::size_t index) {
  const Comparison& comparison = report.comparisons[index - 1];
  const std::string caption = fmt::format("{} and {}", result_letter(0), result_letter(index));
  if (comparison.verdict == Verdict::equal) {
    return tag("p", {}, caption + ": the same content digest, equal to the bit.");
  }
  TextTable table{.header = {"part", "objects that differ", "where most", "there", result_letter(0),
                             result_letter(index)},
                  .rows = {}};
  for (std::size_t kind = 0; kind < kKinds; ++kind) {
    const KindSummary& summary = comparison.kinds[kind];
    if (summary.differing == 0) continue;
    std::vector<std::string> row = {name_of(static_cast<Kind>(kind)).title,
                                    fmt::format("{} of {}", summary.differing, summary.compared)};
    if (summary.largest) {
      const Difference& one = *summary.largest;
      row.insert(row.end(), {one.object, one.at, one.a, one.b});
    }
    table.rows.push_back(std::move(row));
  }
  for (const MissingPart& part : comparison.missing) {
    table.rows.push_back({part.object, "only in " + result_letter(part.only_in_a ? 0 : index)});
  }
  return html_table(table, caption + ": what differs in the content");
}

}  // namespace

Markup comparison_section(const ReportFigures& report) {
  if (report.results.size() < 2) return {};
  Markup content = html_table(comparison_table(report), "What differs; the rest is equal");
  Markup rest;
  for (std::size_t i = 1; i < report.results.size(); ++i) rest += kinds_table(report, i);
  content += rest;
  return page_section("comparison-part", "Differences",
                      "What was done differently, and what came out differently.", content);
}

}  // namespace fp8cal
