#pragma once

namespace fp8cal {

/// In what the times of a chart are told.
struct TimeUnit {
  const char* name;
  double in_a_second;
};

/// Milliseconds, or seconds where the longest time is long.
inline TimeUnit unit_for(double most_seconds) {
  constexpr double kLongTime = 10;
  return most_seconds < kLongTime ? TimeUnit{"ms", 1e3} : TimeUnit{"s", 1};
}

}  // namespace fp8cal
