#pragma once

#include <string>

#include "coordinator/pipeline.hpp"

namespace fp8cal {

/// The table that a finished job ends with.
std::string summarize(const Job& job, const Outcome& outcome);

/// What `fp8cal plan` prints.
std::string describe_plan(const Plan& plan, const ModelConfig& config, std::uint64_t budget);

}  // namespace fp8cal
