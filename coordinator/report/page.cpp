#include "coordinator/report/page.hpp"

#include "coordinator/report/page_frame.hpp"
#include "coordinator/report/sections.hpp"

namespace fp8cal {
namespace {

/// The last part of the model's path.
std::string model_name(const ResultFigures& figures) {
  for (const Fact& fact : figures.facts.origin) {
    if (fact.name != "model") continue;
    return file_title(fact.value);
  }
  return "an unnamed model";
}

std::string heading(const ReportFigures& report) {
  std::string text = "What FP8 costs " + model_name(report.results.front());
  for (const ResultFigures& one : report.results) {
    if (model_name(one) != model_name(report.results.front()))
      return "What FP8 costs several models";
  }
  return text;
}

Markup sections_of(const ReportFigures& report) {
  using Section = Markup (*)(const ReportFigures&);
  constexpr Section kSections[] = {verdict_section,     comparison_section, perplexity_section,
                                   amax_section,        outlier_section,    distribution_section,
                                   convergence_section, kv_section,         sqnr_section,
                                   latency_section,     timeline_section,   provenance_section};
  Markup sections;
  for (const Section section : kSections) sections += section(report);
  return sections;
}

}  // namespace

std::string report_page(const ReportFigures& report) {
  std::vector<std::string> files;
  for (std::size_t i = 0; i < report.results.size(); ++i) {
    files.push_back(result_prefix(report, i) + report.results[i].file);
  }
  return html_page(heading(report), files, sections_of(report), page_script());
}

}  // namespace fp8cal
