#pragma once

#include "coordinator/command_line.hpp"

namespace fp8cal {

/// `fp8cal status [ID|JOB] [--json]`: prints how jobs of this user, one of an id, or the one of a
/// job file are. Needs no MPI. Returns what the process exits with: 2, with a line on standard
/// error, where nothing is known of the job.
int show_status(const CommandLine& line);

}  // namespace fp8cal
