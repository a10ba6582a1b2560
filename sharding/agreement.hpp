#pragma once

#include <functional>

#include "jobs/error.hpp"
#include "sharding/control.hpp"

namespace fp8cal {

/// An error that every rank knows of and throws: the process may end in good order.
class AgreedError : public Error {
 public:
  using Error::Error;
};

/// Runs `step` on every rank. If it throws on any, every rank throws AgreedError with the text and
/// code of the lowest rank that failed, so that no rank waits for one that is gone. Collective.
void run_agreed(const Control& control, const std::function<void()>& step);

}  // namespace fp8cal
