#include "coordinator/supervision/pulse.hpp"

#include <ctime>

#include "sharding/vital_signs.hpp"

namespace fp8cal {
namespace {

constexpr double kTicksPerSecond = 10;  // of the processor: a tick is progress
constexpr double kMostDeadlines = 10;

double seconds_of(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// Of this process but for this thread.
double processor_seconds() {
  return seconds_of(CLOCK_PROCESS_CPUTIME_ID) - seconds_of(CLOCK_THREAD_CPUTIME_ID);
}

}  // namespace

Pulse::Pulse(double deadline) : deadline_(deadline), processor_(processor_seconds()) {}

Report Pulse::take(double seconds) {
  const VitalSigns& signs = vital_signs();
  const bool waiting = signs.waiting.load(std::memory_order_relaxed) > 0;
  const std::uint64_t told = signs.progress.load(std::memory_order_relaxed);
  untold_ = told == told_ ? untold_ + seconds : 0;
  told_ = told;
  const double processor = processor_seconds();
  if (!waiting && untold_ < kMostDeadlines * deadline_) computed_ += processor - processor_;
  processor_ = processor;
  return {.progress = told + static_cast<std::uint64_t>(computed_ * kTicksPerSecond),
          .waiting = waiting,
          .place = signs.place.read(),
          .position = position_of(signs)};
}

}  // namespace fp8cal
