#pragma once

#include <chrono>
#include <cstddef>

namespace fp8cal {

/// When to save progress next, so that a crash costs no more than `interval` and the unit at hand.
class SaveClock {
 public:
  using Clock = std::chrono::steady_clock;
  using Seconds = std::chrono::duration<double>;

  /// delay: units from asking for a save to the save.
  SaveClock(Seconds interval, std::size_t delay, Clock::time_point now)
      : interval_(interval), delay_(delay), saved_(now), last_unit_(now) {}

  /// A unit is done: whether to ask for a save now. Once asked for, not again until it is there.
  bool unit_done(Clock::time_point now) {
    const Seconds unit = now - last_unit_;
    last_unit_ = now;
    if (asked_ || Seconds(now - saved_) + unit * static_cast<double>(delay_) < interval_) {
      return false;
    }
    asked_ = true;
    return true;
  }

  /// Whether a save that needs no asking should be made now.
  bool is_due(Clock::time_point now) const { return Seconds(now - saved_) >= interval_; }

  /// A save was made, or failed: the next one is due an interval from now on.
  void saved(Clock::time_point now) {
    saved_ = last_unit_ = now;
    asked_ = false;
  }

 private:
  Seconds interval_;
  std::size_t delay_;
  Clock::time_point saved_;
  Clock::time_point last_unit_;
  bool asked_ = false;
};

}  // namespace fp8cal
