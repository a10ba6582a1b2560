#pragma once

#include <string>

#include "coordinator/report/latency_figures.hpp"

namespace fp8cal {

/// What `fp8cal show` prints of a latency profile: the ceilings, time to first token and per output
/// token, what the time goes to, what it comes to. file: what to call it.
std::string latency_text(const LatencyFigures& figures, const std::string& file);

}  // namespace fp8cal
