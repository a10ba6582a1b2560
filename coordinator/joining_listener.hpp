#pragma once

#include <string>

#include "sharding/vital_signs.hpp"
#include "worker/progress.hpp"

namespace fp8cal {

/// Shows several stages that take turns as one.
class JoiningListener : public ProgressListener {
 public:
  explicit JoiningListener(ProgressListener& shown) : shown_(shown) {}

  /// What begins from now on until `part` is shown as parts of this stage.
  void join(const std::string& stage, const std::string& unit, std::size_t units,
            std::size_t tokens_per_unit) {
    shown_.begin(stage, unit, units, tokens_per_unit);
    joined_ = true;
  }
  void part() {
    joined_ = false;
    shown_.end();
  }

  void begin(const std::string& stage, const std::string& unit, std::size_t units,
             std::size_t tokens_per_unit) override {
    if (!joined_) return shown_.begin(stage, unit, units, tokens_per_unit);
    tell_stage(stage);  // failures are told of by the part
  }
  void advance(std::size_t units) override { shown_.advance(units); }
  void end() override {
    if (!joined_) shown_.end();
  }

 private:
  ProgressListener& shown_;
  bool joined_ = false;
};

}  // namespace fp8cal
