#pragma once

#include <mpi.h>

#include <optional>

#include "coordinator/command_line.hpp"
#include "coordinator/status/status_keeper.hpp"
#include "coordinator/supervision/guards.hpp"
#include "sharding/control.hpp"

namespace fp8cal {

/// 'fp8cal study': computes what is missing of a study's results, writes the study file and prints
/// its tables. Arguments and errors as those of audit().
void study(const CommandLine& line, const Control& control, MPI_Comm world, const Guards& guards,
           std::optional<StatusKeeper>& status);

}  // namespace fp8cal
