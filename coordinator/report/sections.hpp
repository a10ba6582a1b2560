#pragma once

#include <cstddef>
#include <string>

#include "coordinator/report/markup.hpp"
#include "coordinator/report/result_figures.hpp"

namespace fp8cal {

/// The sections of the page, in its order. Each draws what the results hold and says what they do
/// not.
Markup verdict_section(const ReportFigures& report);
Markup comparison_section(const ReportFigures& report);  ///< nothing for one result
Markup perplexity_section(const ReportFigures& report);
Markup amax_section(const ReportFigures& report);
Markup outlier_section(const ReportFigures& report);
Markup distribution_section(const ReportFigures& report);
Markup convergence_section(const ReportFigures& report);
Markup kv_section(const ReportFigures& report);
Markup sqnr_section(const ReportFigures& report);
Markup latency_section(const ReportFigures& report);
Markup timeline_section(const ReportFigures& report);
Markup provenance_section(const ReportFigures& report);

/// "A: " where there are several results, else nothing.
std::string result_prefix(const ReportFigures& report, std::size_t index);

/// `name`, with what tells the results' charts apart.
std::string chart_id(const char* name, std::size_t index);

/// What results without activations say.
inline constexpr const char* kNoActivations = "holds no distributions of activations.";

/// Sentences for the results that lack a part: "`what`" after "This result" or "Result B".
Markup absent_from(const ReportFigures& report, std::size_t index, const char* what);

}  // namespace fp8cal
