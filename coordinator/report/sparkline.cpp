#include "coordinator/report/sparkline.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace fp8cal {
namespace {

constexpr std::size_t kBars = 8;
constexpr const char* kBar[kBars] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};

/// The greatest finite value of a part; NaN where there is none.
double greatest(std::vector<double>::const_iterator begin,
                std::vector<double>::const_iterator end) {
  double most = NAN;
  for (auto value = begin; value != end; ++value) {
    if (std::isfinite(*value) && !(*value <= most)) most = *value;
  }
  return most;
}

}  // namespace

std::string sparkline(const std::vector<double>& values, std::size_t width) {
  const std::size_t bars = std::min(values.size(), width);
  std::vector<double> kept;
  for (std::size_t i = 0; i < bars; ++i) {
    const auto part = [&](std::size_t index) {
      return values.begin() + static_cast<std::ptrdiff_t>(values.size() * index / bars);
    };
    kept.push_back(greatest(part(i), part(i + 1)));
  }
  double low = HUGE_VAL;
  double high = -HUGE_VAL;
  for (const double value : kept) {
    if (!std::isfinite(value)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  std::string line;
  for (const double value : kept) {
    if (!std::isfinite(value)) {
      line += ' ';
      continue;
    }
    const double share = high > low ? (value - low) / (high - low) : 0;
    line += kBar[std::min(static_cast<std::size_t>(share * kBars), kBars - 1)];
  }
  return line;
}

}  // namespace fp8cal
