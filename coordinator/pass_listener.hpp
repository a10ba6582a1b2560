#pragma once

#include <string>

#include "kernels/timed_backend.hpp"
#include "worker/progress.hpp"

namespace fp8cal {

/// Shows the passes of timed stages and records those that are profiled: a pass alone, without what
/// is done once for all microbatches before and after it.
class PassListener : public ProgressListener {
 public:
  enum class Mode { show, hide, record };

  PassListener(ProgressListener& shown, TimedBackend& backend) : shown_(shown), backend_(backend) {}

  void listen(Mode mode) { mode_ = mode; }

  void begin(const std::string& stage, const std::string& unit, std::size_t units,
             std::size_t tokens_per_unit) override {
    if (mode_ == Mode::show) shown_.begin(stage, unit, units, tokens_per_unit);
    if (mode_ == Mode::record) backend_.start();
  }
  void advance(std::size_t units) override {
    if (mode_ == Mode::show) shown_.advance(units);
  }
  void end() override {
    if (mode_ == Mode::show) shown_.end();
    if (mode_ == Mode::record) backend_.stop();
  }

 private:
  ProgressListener& shown_;
  TimedBackend& backend_;
  Mode mode_ = Mode::show;
};

}  // namespace fp8cal
