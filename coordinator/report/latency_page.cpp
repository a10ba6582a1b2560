#include "coordinator/report/latency_page.hpp"

#include "coordinator/report/latency_csv.hpp"
#include "coordinator/report/latency_section.hpp"
#include "coordinator/report/page_frame.hpp"
#include "coordinator/report/result_figures.hpp"

namespace fp8cal {
namespace {

std::string heading(const LatencyReport& report) {
  const std::string& model = report.profiles.front().profile.model;
  for (const LatencyFigures& one : report.profiles) {
    if (one.profile.model != model) return "How fast several models are in FP8";
  }
  return "How fast " + (model.empty() ? "an unnamed model" : file_title(model)) + " is in FP8";
}

std::string prefix_of(const LatencyReport& report, std::size_t index) {
  return report.files.size() == 1 ? "" : result_letter(index) + ": ";
}

}  // namespace

LatencyReport read_latency_report(const std::vector<std::string>& files) {
  LatencyReport report{.files = files, .profiles = {}};
  for (const std::string& file : files) report.profiles.push_back(read_latency(file).value());
  return report;
}

std::string latency_page(const LatencyReport& report) {
  std::vector<std::string> sources;
  Markup content;
  for (std::size_t i = 0; i < report.files.size(); ++i) {
    const std::string prefix = prefix_of(report, i);
    sources.push_back(prefix + report.files[i]);
    content += latency_content(report.profiles[i], report.files[i], {prefix, i});
  }
  return html_page(heading(report), sources, latency_section_of(content), {});
}

std::vector<FigureTable> latency_csv(const LatencyReport& report) {
  std::vector<NamedLatency> named;
  for (std::size_t i = 0; i < report.files.size(); ++i) {
    named.emplace_back(report.files[i], &report.profiles[i]);
  }
  return latency_csv(named);
}

}  // namespace fp8cal
