#pragma once

#include <mpi.h>

#include "coordinator/profile/profile_request.hpp"
#include "jobs/latency_profile.hpp"
#include "sharding/control.hpp"
#include "worker/progress.hpp"

namespace fp8cal {

/// Measures what `request` asks for. The profile is for rank 0. Throws AgreedError. Collective over
/// `world`, whose ranks are those of `control`.
LatencyProfile measure(const ProfileRequest& request, const Control& control, MPI_Comm world,
                       ProgressListener& progress);

}  // namespace fp8cal
