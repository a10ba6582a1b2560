#pragma once

#include <string>

#include "coordinator/report/latency_charts.hpp"
#include "coordinator/report/latency_figures.hpp"
#include "coordinator/report/markup.hpp"

namespace fp8cal {

/// All about one profile: what it comes to, charts, tables, where it comes from. Each part that was
/// not measured has a sentence instead. file: what to call it.
Markup latency_content(const LatencyFigures& figures, const std::string& file,
                       const ChartNames& names);

/// The section of the page around it.
Markup latency_section_of(const Markup& content);

}  // namespace fp8cal
