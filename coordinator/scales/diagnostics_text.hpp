#pragma once

#include <string>

#include "jobs/result.hpp"

namespace fp8cal {

/// What a result tells of its static scales: what they do to the tensors, whether the calibration
/// has converged, and where outlier channels cost more than they should. Lines, the first of them
/// empty; nothing where the result has no distributions.
std::string describe_diagnostics(const Result& result);

}  // namespace fp8cal
