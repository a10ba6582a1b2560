#pragma once

#include <string>
#include <string_view>

#include "coordinator/report/result_figures.hpp"

namespace fp8cal {

/// The report as one HTML page that needs nothing else: no network, no other file; its one script
/// is page.js.
std::string report_page(const ReportFigures& report);

/// page.css and page.js, which are compiled in.
std::string_view page_style();
std::string_view page_script();

}  // namespace fp8cal
