#pragma once

#include "coordinator/command_line.hpp"

namespace fp8cal {

/// `fp8cal report RESULT...|STUDY [--out FILE] [--csv FOLDER]`. Needs no MPI. Returns what the
/// process exits with: 2, with a line on standard error, for a file that is neither.
int report_files(const CommandLine& line);

/// `fp8cal show RESULT|STUDY`, likewise.
int show_file(const CommandLine& line);

}  // namespace fp8cal
