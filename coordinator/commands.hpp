#pragma once

#include "coordinator/command_line.hpp"
#include "jobs/error.hpp"

namespace fp8cal {

/// Runs a parsed command line on every rank; MPI is initialised where the command needs it. Prints
/// to standard output and standard error. Returns what the process exits with; where only this rank
/// knows of a failure, aborts all ranks and does not return.
int run_command(const CommandLine& line);

/// Prints, once however many ranks there are, why a command line was not understood. Returns what
/// the process exits with.
int report_usage_error(const Error& error);

}  // namespace fp8cal
