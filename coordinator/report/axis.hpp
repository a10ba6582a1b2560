#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace fp8cal {

struct Tick {
  double value = 0;
  std::string label;
};

/// Values along one side of a chart.
struct Axis {
  std::string label;  ///< what, with its unit
  double low = 0;     ///< below `high`
  double high = 1;
  bool logarithmic = false;  ///< both ends are above 0
  std::vector<Tick> ticks = {};

  /// Where `value` stands between `from` and `to`, which stand for low and high; what lies beyond
  /// an end is put there.
  double place(double value, double from, double to) const;
};

/// Widened to round numbers that become ticks, about `ticks` of them.
Axis linear_axis(const std::string& label, double low, double high, std::size_t ticks);

/// Widened to powers of ten, or to 1, 2 and 5 of them where there is little between. low: above 0.
Axis log_axis(const std::string& label, double low, double high);

/// From the first layer to the last one, as whole numbers.
Axis layer_axis(double first, double last);

/// Numbers of calibration sequences: doublings up to the most. low: above 0.
Axis sequences_axis(double low, double high);

/// Numbers of tokens: doublings from the least, as far as there is room for their labels. low:
/// above 0.
Axis tokens_axis(const std::string& label, double low, double high);

/// "100", "2K": in units of 1024 where they are whole.
std::string token_count(double tokens);

/// A number in few characters: three significant digits.
std::string short_number(double value);

}  // namespace fp8cal
