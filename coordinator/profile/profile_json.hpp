#pragma once

#include <string>

#include "coordinator/profile/profile_answer.hpp"
#include "jobs/latency_profile.hpp"

namespace fp8cal {

/// The profile and its answers as one JSON object, on one line (docs/profile.md). A figure that
/// there is none of is left out.
std::string profile_json(const LatencyProfile& profile, const ProfileAnswer& answer);

}  // namespace fp8cal
