#pragma once

#include <mpi.h>

#include <optional>

#include "coordinator/command_line.hpp"
#include "coordinator/status/status_keeper.hpp"
#include "coordinator/supervision/guards.hpp"
#include "sharding/control.hpp"

namespace fp8cal {

/// 'fp8cal audit': compares, verifies or reruns, and prints what is found. Throws AgreedError with
/// exit code 4 where something is. guards: stand over a rerun. status: begins on rank 0 for a rerun
/// with runtime.status. Collective over `world`, whose ranks are those of `control`.
void audit(const CommandLine& line, const Control& control, MPI_Comm world, const Guards& guards,
           std::optional<StatusKeeper>& status);

}  // namespace fp8cal
