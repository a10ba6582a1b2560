#pragma once

#include "coordinator/command_line.hpp"

namespace fp8cal {

/// `fp8cal report RESULT... [--out FILE] [--csv FOLDER]`. Needs no MPI. Returns what the process
/// exits with: 2, with a line on standard error, for a file that is no result.
int report_results(const CommandLine& line);

/// `fp8cal show RESULT`, likewise.
int show_result(const CommandLine& line);

}  // namespace fp8cal
