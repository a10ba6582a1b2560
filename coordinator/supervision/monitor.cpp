#include "coordinator/supervision/monitor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>

#include "coordinator/supervision/last_words.hpp"
#include "coordinator/supervision/pulse.hpp"
#include "coordinator/supervision/stop_signals.hpp"
#include "sharding/vital_signs.hpp"

namespace fp8cal {
namespace {

using Seconds = std::chrono::duration<double>;

constexpr Seconds kLeavingInterval{0.002};  // nobody likes to wait at the door
constexpr double kSleptThrough = 3;         // rounds that a late one counts for at most

}  // namespace

Monitor::Monitor(std::unique_ptr<Watch> watch, int rank, const MonitorLimits& limits)
    : watch_(std::move(watch)),
      rank_(rank),
      limits_(limits),
      interval_(std::min(0.2, limits.deadline / 10)),
      thread_([this] { run(); }) {
  vital_signs().monitored = true;
}

Monitor::~Monitor() {
  {
    const std::lock_guard lock(mutex_);
    leaving_ = true;
  }
  left_.notify_one();
  const Waiting waiting;
  thread_.join();
  vital_signs().monitored = false;
}

void Monitor::run() {
  try {
    make_rounds();
  } catch (const std::exception& error) {
    // MPI may fail because another rank is gone: whoever knows more speaks first.
    wait_for_turn(rank_, true);
    const VitalSigns& signs = vital_signs();
    watch_->end_job(fmt::format("{}: {}: {}", rank_text(rank_, signs.place.read()),
                                position_of(signs), error.what()),
                    ExitCode::failed);
  }
}

void Monitor::make_rounds() {
  using Clock = std::chrono::steady_clock;
  Pulse pulse(limits_.deadline);
  Clock::time_point last = Clock::now();
  for (;;) {
    const bool leaving = pause();
    const Clock::time_point now = Clock::now();
    const double seconds = std::min<Seconds>(now - last, kSleptThrough * interval_).count();
    last = now;
    // A launcher also tells ranks to end because another has failed, and said so. That the job
    // ends is seen to below.
    const double judged = stop_requested() == SIGTERM ? 0 : seconds;
    if (watch_->round(pulse.take(seconds), judged, leaving)) return;
    expect_stop(seconds);
  }
}

/// Until the next round. Returns whether this rank is about to leave.
bool Monitor::pause() {
  std::unique_lock lock(mutex_);
  if (!leaving_) {
    left_.wait_for(lock, interval_, [this] { return leaving_; });
    return leaving_;
  }
  lock.unlock();
  std::this_thread::sleep_for(kLeavingInterval);
  return true;
}

void Monitor::expect_stop(double seconds) {
  const int signal = stop_requested();
  if (signal == 0) return;
  stopping_ += seconds;
  const double turn = rank_ == 0 ? 0 : kEchoDelay.count() + turn_of(rank_).count() / 4;
  if (stopping_ < limits_.stopping + turn) return;
  const VitalSigns& signs = vital_signs();
  watch_->end_job(
      fmt::format("{}: asked to stop by SIG{}, and did not come to a point where progress is saved "
                  "within {:.0f} s, {}: what was saved before stays, run it again to go on",
                  rank_text(rank_, signs.place.read()), sigabbrev_np(signal), stopping_,
                  position_of(signs)),
      ExitCode::progress_saved);
}

}  // namespace fp8cal
