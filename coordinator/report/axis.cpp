#include "coordinator/report/axis.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace fp8cal {
namespace {

constexpr std::size_t kMostLogTicks = 6;
constexpr double kMostLayerTicks = 9;
constexpr double kRoomForMarks = 0.03;  // of an axis of tokens, beyond each end

/// 1, 2 or 5 times a power of ten, at least `width`.
double round_step(double width) {
  const double power = std::pow(10, std::floor(std::log10(width)));
  for (const double digit : {1.0, 2.0, 5.0}) {
    if (digit * power >= width * (1 - 1e-9)) return digit * power;
  }
  return 10 * power;
}

/// With as many digits as tell the steps apart.
Tick tick_at(double step, double number) {
  if (number == 0) return {0, "0"};
  const double value = step * number;
  if (step < 1e-4 || std::abs(value) >= 1e6) return {value, fmt::format("{:g}", value)};
  const int decimals = std::max(0, static_cast<int>(-std::floor(std::log10(step) + 1e-9)));
  return {value, fmt::format("{:.{}f}", value, decimals)};
}

}  // namespace

double Axis::place(double value, double from, double to) const {
  const auto scaled = [this](double x) { return logarithmic ? std::log(x) : x; };
  const double inside = std::clamp(value, low, high);
  const double share = (scaled(inside) - scaled(low)) / (scaled(high) - scaled(low));
  return from + share * (to - from);
}

Axis linear_axis(const std::string& label, double low, double high, std::size_t ticks) {
  if (!(high > low)) {
    const double margin = low == 0 ? 1 : std::abs(low) * 0.1;
    high = low + margin;
    low -= margin;
  }
  const double step = round_step((high - low) / static_cast<double>(ticks));
  const double first = std::floor(low / step + 1e-9);
  const double last = std::ceil(high / step - 1e-9);
  Axis axis{.label = label, .low = first * step, .high = last * step};
  for (double number = first; number <= last; ++number) axis.ticks.push_back(tick_at(step, number));
  return axis;
}

Axis log_axis(const std::string& label, double low, double high) {
  const bool is_narrow = high / low < 100;
  const auto step_below = [&](double value) {
    const double power = std::pow(10, std::floor(std::log10(value) + 1e-9));
    if (!is_narrow) return power;
    for (const double digit : {5.0, 2.0}) {
      if (digit * power <= value * (1 + 1e-9)) return digit * power;
    }
    return power;
  };
  const auto next = [&](double value) {
    const double digit = std::round(value / std::pow(10, std::floor(std::log10(value) + 1e-9)));
    return !is_narrow ? value * 10 : digit == 2 ? value * 2.5 : value * 2;
  };
  Axis axis{.label = label, .low = step_below(low), .high = step_below(low), .logarithmic = true};
  std::vector<double> values = {axis.low};
  while (axis.high < high * (1 - 1e-9) || values.size() < 2) {
    axis.high = next(axis.high);
    values.push_back(axis.high);
  }
  const std::size_t every = (values.size() + kMostLogTicks - 1) / kMostLogTicks;
  for (std::size_t i = 0; i < values.size(); i += every) {
    axis.ticks.push_back({values[i], short_number(values[i])});
  }
  return axis;
}

Axis layer_axis(double first, double last) {
  Axis axis{.label = "layer", .low = first - 0.5, .high = last + 0.5};
  const double step = std::max(1.0, round_step((last - first + 1) / kMostLayerTicks));
  for (double layer = first; layer <= last; layer += step) {
    axis.ticks.push_back({layer, fmt::format("{:.0f}", layer)});
  }
  return axis;
}

Axis sequences_axis(double low, double high) {
  Axis axis{.label = "calibration sequences",
            .low = low < high ? low : low / 2,
            .high = high,
            .logarithmic = true};
  for (double tick = axis.low; tick < 0.75 * axis.high; tick *= 2) {
    axis.ticks.push_back({tick, short_number(tick)});
  }
  axis.ticks.push_back({axis.high, short_number(axis.high)});
  return axis;
}

Axis tokens_axis(const std::string& label, double low, double high) {
  Axis axis{.label = label, .low = low < high ? low : low / 2, .high = high, .logarithmic = true};
  std::vector<double> values;
  for (double value = axis.low; value <= axis.high * (1 + 1e-9); value *= 2) {
    values.push_back(value);
  }
  const std::size_t every = (values.size() + kMostLogTicks - 1) / kMostLogTicks;
  for (std::size_t i = 0; i < values.size(); i += every) {
    axis.ticks.push_back({values[i], token_count(values[i])});
  }
  const double room = std::pow(axis.high / axis.low, kRoomForMarks);
  axis.low /= room;
  axis.high *= room;
  return axis;
}

std::string token_count(double tokens) {
  const double units = tokens / 1024;
  return units >= 1 && units == std::floor(units) && units < 1e6 ? fmt::format("{:.0f}K", units)
                                                                 : short_number(tokens);
}

std::string short_number(double value) {
  if (value == 0) return "0";
  const double size = std::abs(value);
  if (size >= 999.5 && size < 99999.5) return fmt::format("{:.0f}", value);
  return fmt::format("{:.3g}", value);
}

}  // namespace fp8cal
