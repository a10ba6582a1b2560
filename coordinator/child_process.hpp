#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace fp8cal {

/// What a program said, and how it ended.
struct Finished {
  int status = 0;  ///< its exit status; 128 + N where signal N killed it
  std::string output;
  std::string errors;
};

/// Whether a program of this name is on PATH.
bool is_on_path(const std::string& program);

/// Runs words[0], looked for on PATH, with these arguments and environment, no shell and nothing on
/// its standard input, and waits for it. Throws InputError where it cannot be started, and Error,
/// having killed it, where it takes longer than `limit` or says more than 64 MiB.
Finished run_program(const std::vector<std::string>& words,
                     const std::vector<std::string>& environment, std::chrono::seconds limit);

/// "NAME=value" of this process, one each.
std::vector<std::string> current_environment();

}  // namespace fp8cal
