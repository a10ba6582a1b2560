#include "jobs/error.hpp"

#include <fmt/format.h>

#include <cstring>

namespace fp8cal {

InputError::InputError(std::string where_, std::string what_, std::string expected_,
                       std::string found_)
    : Error(ExitCode::bad_input,
            fmt::format("{}: {}: expected {}, found {}", where_, what_, expected_, found_)),
      where(std::move(where_)),
      what_is(std::move(what_)),
      expected(std::move(expected_)),
      found(std::move(found_)) {}

Error system_error(const std::string& where, const std::string& action, int error_number,
                   ExitCode code) {
  return {code, fmt::format("{}: cannot {}: {}", where, action, std::strerror(error_number))};
}

}  // namespace fp8cal
