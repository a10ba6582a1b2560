#pragma once

#include "worker/progress.hpp"

namespace fp8cal {

/// Passes on what it hears to two others, the first one first.
class BothListeners : public ProgressListener {
 public:
  BothListeners(ProgressListener& first, ProgressListener& second)
      : first_(first), second_(second) {}

  void begin(const std::string& stage, const std::string& unit, std::size_t units,
             std::size_t tokens_per_unit) override {
    first_.begin(stage, unit, units, tokens_per_unit);
    second_.begin(stage, unit, units, tokens_per_unit);
  }
  void advance(std::size_t units) override {
    first_.advance(units);
    second_.advance(units);
  }
  void end() override {
    first_.end();
    second_.end();
  }

 private:
  ProgressListener& first_;
  ProgressListener& second_;
};

}  // namespace fp8cal
