#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "sharding/control.hpp"

namespace fp8cal {

/// How often something is run to be timed.
struct Repetition {
  std::size_t warm_up = 0;  ///< runs before those that count; one, where that took `seconds`
  std::size_t least = 1;    ///< runs that count; kFewest, where these take longer together
  std::size_t most = 1;
  double seconds = 2;        ///< no further run begins once so many have been spent, but `least` do
  double most_seconds = 20;  ///< nor then, but kFewest do
};

/// Runs of which there is still a median.
inline constexpr std::size_t kFewest = 3;

/// Times `run`, which returns when its work is done, on the wall clock of the host; before each,
/// `prepare` is not timed. Ranks begin each run together, and rank 0 decides when it is enough.
/// Gives the seconds of each run on the slowest rank, on rank 0; nothing elsewhere. Collective.
std::vector<double> time_runs(const Control& control, const Repetition& repetition,
                              const std::function<void()>& prepare,
                              const std::function<void()>& run);

}  // namespace fp8cal
