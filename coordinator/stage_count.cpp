#include "coordinator/stage_count.hpp"

namespace fp8cal {

void StageCount::begin(const std::string& stage, const std::string& unit, std::size_t units,
                       std::size_t tokens_per_unit) {
  stage_ = stage;
  unit_ = unit;
  units_ = units;
  tokens_per_unit_ = tokens_per_unit;
  done_ = 0;
  started_ = std::chrono::steady_clock::now();
}

double StageCount::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
}

double StageCount::share() const {
  return units_ == 0 ? 1.0 : static_cast<double>(done_) / static_cast<double>(units_);
}

std::optional<double> StageCount::tokens_per_second() const {
  const double elapsed = seconds();
  if (tokens_per_unit_ == 0 || !(elapsed > 0)) return std::nullopt;
  return static_cast<double>(done_ * tokens_per_unit_) / elapsed;
}

std::optional<double> StageCount::seconds_left() const {
  if (done_ == 0) return std::nullopt;
  const std::size_t left = done_ < units_ ? units_ - done_ : 0;
  return seconds() / static_cast<double>(done_) * static_cast<double>(left);
}

}  // namespace fp8cal
