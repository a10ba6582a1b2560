#pragma once

#include <cstddef>
#include <functional>

#include "jobs/latency_profile.hpp"
#include "sharding/control.hpp"

namespace fp8cal {

/// How often a pass is timed.
struct Repeats {
  std::size_t warm_ups = 0;  ///< runs before, untimed
  std::size_t fewest = 1, most = 1;
  double seconds = 0;  ///< within these bounds as many runs as take about so long
};

/// The wall-clock time of `run`, which returns when its work is done, by the slowest rank. prepare
/// comes before each run and is not timed. All ranks run equally often. Collective.
Latency time_runs(const Control& control, const Repeats& repeats,
                  const std::function<void()>& prepare, const std::function<void()>& run);

/// Median and 95th percentile (nearest rank) of seconds, in any order. Not of none.
Latency latency_of(std::vector<double> seconds);

}  // namespace fp8cal
