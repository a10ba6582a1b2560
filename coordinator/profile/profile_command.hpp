#pragma once

#include <mpi.h>

#include "coordinator/command_line.hpp"
#include "sharding/control.hpp"

namespace fp8cal {

/// 'fp8cal profile': measures, keeps the profile in a result or a file of its own where one was
/// named, and prints it. All ranks of `control` slice each tensor. Throws AgreedError. Collective
/// over `world`, whose ranks are the same.
void profile(const CommandLine& line, const Control& control, MPI_Comm world);

}  // namespace fp8cal
