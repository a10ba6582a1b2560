#pragma once

#include "coordinator/command_line.hpp"

namespace fp8cal {

/// `fp8cal collect SWEEP.json [--csv FILE]`: prints one table of the results of an array of jobs.
/// Needs no MPI. Returns what the process exits with: 1, with a line on standard error, where a
/// task has no result.
int collect_sweep(const CommandLine& line);

}  // namespace fp8cal
