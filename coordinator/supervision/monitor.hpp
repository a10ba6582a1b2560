#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "coordinator/supervision/watch.hpp"

namespace fp8cal {

/// Limits in seconds.
struct MonitorLimits {
  double deadline = 120;  ///< without a report or progress
  double stopping = 25;   ///< from a signal that asks to stop to the end of the process
};

/// A thread that watches over the job from construction to destruction: it ends the job where a
/// rank keeps it from going on, and where a signal asked to stop (StopSignals) and this process did
/// not end in time. Time is what this thread saw pass: a job that is suspended as a whole goes on
/// as if nothing had been.
class Monitor {
 public:
  Monitor(std::unique_ptr<Watch> watch, int rank, const MonitorLimits& limits);
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;
  /// Waits until the other ranks come to the end of theirs; they are watched over until then.
  ~Monitor();

 private:
  void run();
  void make_rounds();
  bool pause();
  void expect_stop(double seconds);

  const std::unique_ptr<Watch> watch_;
  const int rank_;
  const MonitorLimits limits_;
  const std::chrono::duration<double> interval_;  // from round to round
  double stopping_ = 0;                           // seconds since a signal asked to stop

  std::mutex mutex_;
  std::condition_variable left_;
  bool leaving_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace fp8cal
