#include "coordinator/report/page.hpp"

#include <filesystem>

#include "coordinator/provenance.hpp"
#include "coordinator/report/page_parts.hpp"
#include "coordinator/report/plot.hpp"
#include "coordinator/report/sections.hpp"

namespace fp8cal {
namespace {

/// The last part of the model's path.
std::string model_name(const ResultFigures& figures) {
  for (const Fact& fact : figures.facts.origin) {
    if (fact.name != "model") continue;
    const std::filesystem::path path(fact.value);
    return path.has_filename() ? path.filename().string() : path.parent_path().filename().string();
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

/// Fills that tell parts of charts apart without colour.
Markup patterns() {
  const auto pattern = [](const char* id, const char* path) {
    return tag("pattern",
               {{"id", id}, {"width", "6"}, {"height", "6"}, {"patternUnits", "userSpaceOnUse"}},
               [&] {
                 Markup all = svg_rect(0, 0, 6, 6, "pattern-ground");
                 all += tag("path", {{"d", path}, {"class", "pattern-ink"}}, Markup());
                 return all;
               }());
  };
  Markup all = pattern("hatch", "M-1,7L7,-1M-1,1L1,-1M5,7L7,5");
  all += pattern("dots", "M1,2h2M4,5h2");
  all += pattern("cross", "M0,3h6M3,0v6");
  return tag("svg", {{"class", "defs"}, {"aria-hidden", "true"}, {"width", "0"}, {"height", "0"}},
             tag("defs", {}, all));
}

Markup head(const std::string& title) {
  Markup all = Markup::void_element("meta", {{"charset", "utf-8"}});
  all += Markup::void_element(
      "meta", {{"name", "viewport"}, {"content", "width=device-width, initial-scale=1"}});
  // Nothing is loaded, whatever a name in a result may look like.
  all += Markup::void_element(
      "meta",
      {{"http-equiv", "Content-Security-Policy"},
       {"content", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"}});
  all += Markup::void_element("meta", {{"name", "color-scheme"}, {"content", "light dark"}});
  all += tag("title", title);
  all += tag("style", {}, Markup::trusted(page_style()));
  return tag("head", {}, all);
}

Markup page_header(const ReportFigures& report, const std::string& title) {
  Markup all = tag("h1", title);
  for (std::size_t i = 0; i < report.results.size(); ++i) {
    all += tag("p", {{"class", "file"}}, result_prefix(report, i) + report.results[i].file);
  }
  return tag("header", {}, all);
}

Markup page_body(const ReportFigures& report, const std::string& title) {
  using Section = Markup (*)(const ReportFigures&);
  constexpr Section kSections[] = {verdict_section,     comparison_section, perplexity_section,
                                   amax_section,        outlier_section,    distribution_section,
                                   convergence_section, kv_section,         sqnr_section,
                                   timeline_section,    provenance_section};
  Markup sections;
  for (const Section section : kSections) sections += section(report);
  Markup all = patterns();
  all += page_header(report, title);
  all += tag("main", {}, sections);
  all += tag("footer", {}, tag("p", "fp8cal " + version_text()));
  all += tag("script", {}, Markup::trusted(page_script()));
  return tag("body", {}, all);
}

}  // namespace

std::string report_page(const ReportFigures& report) {
  const std::string title = heading(report);
  Markup all = head(title);
  all += page_body(report, title);
  return "<!DOCTYPE html>\n" + tag("html", {{"lang", "en"}}, all).str() + "\n";
}

}  // namespace fp8cal
