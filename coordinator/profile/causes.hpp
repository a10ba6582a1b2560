#pragma once

#include <array>
#include <string>

#include "jobs/latency_profile.hpp"
#include "kernels/timed_backend.hpp"

namespace fp8cal {

/// What the time of a kernel of a KernelProfile goes to. Copies between host and device, and what
/// has another name, are gaps.
Cause cause_of(const std::string& kernel);

/// Where the time of a pass went. profile: of one that was timed kernel by kernel; pause: seconds
/// that timing adds to each call, which are taken off, but never more than it took; median: seconds
/// of passes that were not timed so. What no kernel takes of the median are gaps. Where kernels
/// together still exceed it, because timing them one by one keeps them from overlapping, all are
/// scaled down to it in proportion.
std::array<CauseTime, kCauses> causes_of(const KernelProfile& profile, double pause, double median);

}  // namespace fp8cal
