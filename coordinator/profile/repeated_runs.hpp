#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "sharding/control.hpp"

namespace fp8cal {

/// How often something is run to be timed.
struct Repetition {
  std::size_t warm_up = 0;   ///< runs before those that count; one, where that took `seconds`
  std::size_t least = 1;     ///< times that count; kFewest, where these are longer together
  std::size_t most = 1;      ///< no further run begins once there are so many
  double seconds = 2;        ///< no further run begins once so many have been spent, but `least` do
  double most_seconds = 20;  ///< nor then, but kFewest do
};

/// Times of which there is still a median.
inline constexpr std::size_t kFewest = 3;

/// Seconds that `work` takes on the wall clock of the host; it returns when it is done.
double seconds_of(const std::function<void()>& work);

/// Makes `run` often enough, which gives the seconds of what it measures, one or several times;
/// before each, `prepare` is not measured. Ranks begin each run together, and rank 0 decides when
/// it is enough. Gives what was measured, each time on the slowest rank, on rank 0; nothing
/// elsewhere. Collective.
std::vector<double> repeat_runs(const Control& control, const Repetition& repetition,
                                const std::function<void()>& prepare,
                                const std::function<std::vector<double>()>& run);

}  // namespace fp8cal
