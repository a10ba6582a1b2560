#pragma once

#include "jobs/error.hpp"

namespace fp8cal {

/// A call that needs other ranks failed, perhaps only because one of them did before: that one
/// should be heard first.
class PeerError : public Error {
 public:
  explicit PeerError(const std::string& line) : Error(ExitCode::failed, line) {}
};

}  // namespace fp8cal
