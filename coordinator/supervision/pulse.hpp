#pragma once

#include <cstdint>

#include "coordinator/supervision/judge.hpp"

namespace fp8cal {

/// What this process reports of itself: its vital signs, and as progress also the time of the
/// processor that it spends while it waits for nobody, so that a long computation on the host need
/// not tell of each step. Computation that tells of nothing counts for ten deadlines: it may also
/// be a loop that never ends.
class Pulse {
 public:
  explicit Pulse(double deadline);

  /// `seconds` after the last call. By one thread; what that spends does not count.
  Report take(double seconds);

 private:
  double deadline_;
  double untold_ = 0;       // seconds since progress was told
  std::uint64_t told_ = 0;  // progress
  double processor_ = 0;    // seconds of the processor until the last call
  double computed_ = 0;     // of them, those that count
};

}  // namespace fp8cal
