#include <csignal>

#include "coordinator/command_line.hpp"
#include "coordinator/commands.hpp"
#include "jobs/error.hpp"

int main(int argc, char** argv) {
  // A write beyond the file size limit should fail as an error with its file named.
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    return fp8cal::run_command(fp8cal::parse_command_line({argv + 1, argv + argc}));
  } catch (const fp8cal::Error& error) {
    return fp8cal::report_usage_error(error);
  }
}
