#include "coordinator/report/sections.hpp"

#include <fmt/format.h>

#include "coordinator/report/page_parts.hpp"

namespace fp8cal {

std::string result_prefix(const ReportFigures& report, std::size_t index) {
  return report.results.size() == 1 ? "" : result_letter(index) + ": ";
}

std::string chart_id(const char* name, std::size_t index) {
  return fmt::format("{}-{}", name, index);
}

Markup absent_from(const ReportFigures& report, std::size_t index, const char* what) {
  const std::string subject =
      report.results.size() == 1 ? "This result" : "Result " + result_letter(index);
  return absent(fmt::format("{} {}", subject, what));
}

}  // namespace fp8cal
