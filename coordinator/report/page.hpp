#pragma once

#include <string>

#include "coordinator/report/result_figures.hpp"

namespace fp8cal {

/// The report as an html_page; its one script is page.js.
std::string report_page(const ReportFigures& report);

}  // namespace fp8cal
