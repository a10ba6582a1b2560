#pragma once

#include <array>
#include <string>

#include "jobs/latency_profile.hpp"
#include "kernels/timed_backend.hpp"

namespace fp8cal {

/// What a kernel of a TimedBackend, or call of TimedCollectives, is counted as.
Cause cause_of(const std::string& kernel);

/// Where a pass's `seconds` go, from the kernels of one more run of it. pause: what two marks
/// around nothing take, which is in each call's time. Between marks kernels neither overlap nor
/// hide their launches, so short ones appear longer than they are: where their sum is above
/// `seconds`, all are taken to be shorter in proportion. What is missing to `seconds` is gaps.
std::array<CauseTime, kCauses> causes_of(const KernelProfile& profile, double pause,
                                         double seconds);

/// Seconds between two marks with nothing between them, as replayed in a recording.
double pause_of(Backend& backend);

}  // namespace fp8cal
