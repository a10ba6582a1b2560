#pragma once

#include <vector>

#include "jobs/latency_profile.hpp"

namespace fp8cal {

/// Of the seconds of at least one run. The 95th percentile is the shortest run that 95 % of all do
/// not exceed; the median of an even number lies halfway between the middle two.
Latency latency_of(std::vector<double> seconds);

}  // namespace fp8cal
