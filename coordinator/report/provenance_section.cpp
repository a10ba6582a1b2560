#include "coordinator/report/page_parts.hpp"
#include "coordinator/report/sections.hpp"

namespace fp8cal {
namespace {

TextTable facts_table(const std::vector<Fact>& facts) {
  TextTable table{.header = {"what", "value"}, .rows = {}};
  for (const Fact& fact : facts) table.rows.push_back({fact.name, fact.value});
  return table;
}

}  // namespace

Markup provenance_section(const ReportFigures& report) {
  Markup content;
  for (std::size_t i = 0; i < report.results.size(); ++i) {
    const Facts& facts = report.results[i].facts;
    const std::string prefix = result_prefix(report, i);
    content += html_table(facts_table(facts.origin), prefix + report.results[i].file);
    content += details(prefix + "everything that determines the content",
                       html_table(facts_table(facts.job), prefix + "job"));
    content += details(prefix + "everything about the run",
                       html_table(facts_table(facts.provenance), prefix + "provenance"));
  }
  return page_section(
      "provenance-part", "Provenance and digests",
      "Where the numbers come from. 'fp8cal audit' verifies a result by its content "
      "digest.",
      content);
}

}  // namespace fp8cal
