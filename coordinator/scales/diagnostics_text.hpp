#pragma once

#include <set>
#include <string>

#include "jobs/result.hpp"

namespace fp8cal {

/// What a result tells of its static scales: what they do to the tensors, whether the calibration
/// has converged, and where outlier channels cost more than they should. Lines, the first of them
/// empty; nothing where the result has no distributions.
std::string describe_diagnostics(const Result& result);

/// Its parts. Whether amax still grew over the last doubling of the calibration, in one line
/// without its end; empty where that is not known.
std::string describe_convergence(const Result& result);

/// What helps against outlier channels (to_text of OutlierAdvice): a line a tensor, whichever
/// recipes quantize it by that scale.
std::set<std::string> describe_outliers(const Result& result);

}  // namespace fp8cal
