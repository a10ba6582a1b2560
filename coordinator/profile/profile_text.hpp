#pragma once

#include <string>

#include "coordinator/profile/profile_answer.hpp"
#include "jobs/latency_profile.hpp"

namespace fp8cal {

/// What `fp8cal profile` prints: where it ran, the times of each pass with their causes, in
/// milliseconds, and the answers. Tables are at most kTableWidth wide.
std::string profile_text(const LatencyProfile& profile, const ProfileAnswer& answer);

}  // namespace fp8cal
