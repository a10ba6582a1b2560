#include <fmt/format.h>

#include "coordinator/report/page_parts.hpp"
#include "coordinator/report/study_sections.hpp"
#include "coordinator/study/study_output.hpp"

namespace fp8cal {
namespace {

/// A row a result: its keys, the difference of each recipe, where it lies.
TextTable results_table(const StudyRecord& study) {
  TextTable table{.header = {"dataset", "seed", "samples", "policy"}, .rows = {}};
  for (const StudyPerplexity& one : study.results.front().recipes) {
    table.header.push_back(one.recipe);
  }
  table.header.insert(table.header.end(), {"reportable", "file", "content digest"});
  for (const StudyResult& result : study.results) {
    std::vector<std::string>& row = table.rows.emplace_back();
    row = {result.dataset, fmt::to_string(result.seed), fmt::to_string(result.samples),
           result.policy};
    for (const StudyPerplexity& one : result.recipes) {
      row.push_back(fmt::format("{:+.4f}", one.difference()));
    }
    row.insert(row.end(),
               {result.objection.empty() ? "yes" : result.objection, result.file, result.digest});
  }
  return table;
}

TextTable protocol_table(const StudyRecord& study) {
  TextTable table{.header = {"what", "value"}, .rows = {}};
  table.rows.push_back({"model", study.model});
  table.rows.push_back({"measured", protocol_text(study)});
  table.rows.push_back({"evaluation text", study.evaluation_dataset});
  table.rows.push_back({"results", fmt::to_string(study.results.size())});
  return table;
}

}  // namespace

Markup study_results_section(const StudyRecord& study) {
  Markup content = html_table(protocol_table(study), "Protocol");
  content += details(
      fmt::format("All {} results", study.results.size()),
      html_table(results_table(study), "Perplexity above BF16 of each recipe; where it lies"));
  return page_section("results-part", "Protocol and results",
                      "What the figures were measured by, and which files they follow from.",
                      content);
}

}  // namespace fp8cal
