#pragma once

#include <string>
#include <utility>
#include <vector>

#include "coordinator/report/figure_tables.hpp"
#include "coordinator/report/latency_figures.hpp"

namespace fp8cal {

/// A profile and its file's name.
using NamedLatency = std::pair<std::string, const LatencyFigures*>;

/// All that was measured, with all digits (docs/report.md says the columns).
std::vector<FigureTable> latency_csv(const std::vector<NamedLatency>& profiles);

}  // namespace fp8cal
