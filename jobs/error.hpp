#pragma once

#include <stdexcept>
#include <string>

namespace fp8cal {

/// What the process exits with.
enum class ExitCode : int {
  done = 0,
  failed = 1,
  bad_input = 2,
  gate_failed = 3,
  audit_difference = 4,
  progress_saved = 75,
};

/// Any failure that the user is told of: one line, and the code that the process exits with.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& line) : std::runtime_error(line), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

/// Bad usage or bad input: "where: what: expected E, found F". Exit code 2.
class InputError : public Error {
 public:
  InputError(std::string where, std::string what, std::string expected, std::string found);

  const std::string where;     ///< file, tensor, job key or option
  const std::string what_is;   ///< what is wrong, in a few words
  const std::string expected;  ///< what would have been right
  const std::string found;     ///< the offending value
};

/// A system call on `where` failed: the text of `error_number` follows. Exit code 1, but 2 where a
/// named input file is missing or cannot be read.
Error system_error(const std::string& where, const std::string& action, int error_number,
                   ExitCode code = ExitCode::failed);

}  // namespace fp8cal
