#pragma once

#include <mpi.h>

#include "coordinator/profile/profile_request.hpp"
#include "jobs/latency_profile.hpp"
#include "sharding/control.hpp"
#include "worker/progress.hpp"

namespace fp8cal {

/// Measures what `request` asks for, every rank with a slice of every weight: first what the device
/// does at most, then variant by variant. What does not fit in device memory is not tried. Complete
/// on rank 0, but for the command line. Collective over `world`, whose ranks are those of
/// `control`. Throws as ProfileSetup and DecoderModel do.
LatencyProfile measure(const ProfileRequest& request, const Control& control, MPI_Comm world,
                       ProgressListener& progress);

}  // namespace fp8cal
