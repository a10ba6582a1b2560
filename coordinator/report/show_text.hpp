#pragma once

#include <string>

#include "coordinator/report/result_figures.hpp"

namespace fp8cal {

/// What `fp8cal show` prints: verdict, a sparkline a kind of tensor, a row a layer, what the scales
/// do, where it comes from, and its latencies.
std::string show_text(const ResultFigures& figures);

}  // namespace fp8cal
