#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "jobs/result.hpp"

namespace fp8cal {

/// How much of the final amax the layers had reached after so many sequences: shares, up to 1.
struct ConvergencePoint {
  std::uint32_t sequences = 0;
  double median = 1;
  double least = 1;
};

/// Of one column (Site), over its layers; the last point is the whole calibration.
struct ConvergenceFigure {
  std::size_t column = 0;
  std::vector<ConvergencePoint> points;
};

/// Nothing of a calibration that was too short for snapshots.
std::vector<ConvergenceFigure> convergence_by_column(const Result& result);

}  // namespace fp8cal
