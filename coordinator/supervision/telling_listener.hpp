#pragma once

#include "sharding/vital_signs.hpp"
#include "worker/progress.hpp"

namespace fp8cal {

/// Tells the vital signs of the stages that it hears of, and passes on to the one that shows them.
class TellingListener : public ProgressListener {
 public:
  explicit TellingListener(ProgressListener& shown) : shown_(shown) {}

  void begin(const std::string& stage, const std::string& unit, std::size_t units,
             std::size_t tokens_per_unit) override {
    tell_stage(stage);
    shown_.begin(stage, unit, units, tokens_per_unit);
  }
  void advance(std::size_t units) override {
    tell_progress();
    shown_.advance(units);
  }
  void end() override { shown_.end(); }

 private:
  ProgressListener& shown_;
};

}  // namespace fp8cal
