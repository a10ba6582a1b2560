#pragma once

#include <string>
#include <vector>

#include "coordinator/report/figure_tables.hpp"
#include "coordinator/report/latency_figures.hpp"

namespace fp8cal {

/// Profiles without results.
struct LatencyReport {
  std::vector<std::string> files;
  std::vector<LatencyFigures> profiles;  ///< as many
};

/// Reads files that hold a profile alone. Throws InputError where one is none.
LatencyReport read_latency_report(const std::vector<std::string>& files);

/// An html_page without a script.
std::string latency_page(const LatencyReport& report);

std::vector<FigureTable> latency_csv(const LatencyReport& report);

}  // namespace fp8cal
