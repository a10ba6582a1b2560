#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>

namespace fp8cal {

/// How far a stage is, and how fast, as a ProgressListener hears of it.
class StageCount {
 public:
  void begin(const std::string& stage, const std::string& unit, std::size_t units,
             std::size_t tokens_per_unit);
  void advance(std::size_t units) { done_ += units; }

  const std::string& stage() const { return stage_; }
  const std::string& unit() const { return unit_; }
  std::size_t units() const { return units_; }
  std::size_t done() const { return done_; }

  /// Since it began.
  double seconds() const;
  /// 1 where there are no units.
  double share() const;
  /// None where tokens do not apply.
  std::optional<double> tokens_per_second() const;
  /// None where nothing is done yet to judge by.
  std::optional<double> seconds_left() const;

 private:
  std::string stage_, unit_;
  std::size_t units_ = 0;
  std::size_t tokens_per_unit_ = 0;
  std::size_t done_ = 0;
  std::chrono::steady_clock::time_point started_;
};

}  // namespace fp8cal
