#pragma once

#include <string>
#include <vector>

#include "jobs/job.hpp"

namespace fp8cal {

/// What to warn of before a job is run, and in its result: too few sequences to calibrate on, or so
/// many that they gain nothing.
std::vector<std::string> protocol_warnings(const Job& job);

/// What is recommended, where the job does otherwise and that is no reason to warn; else empty.
std::string protocol_note(const Job& job);

}  // namespace fp8cal
