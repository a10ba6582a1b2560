#include "coordinator/report/distribution_chart.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "coordinator/report/percentage.hpp"
#include "coordinator/scales/tensor_diagnostics.hpp"

namespace fp8cal {
namespace {

constexpr double kHeight = 200;
constexpr PlotArea kArea = {
    .left = 44, .top = 34, .right = kChartWidth - 10, .bottom = kHeight - 32};
constexpr std::size_t kMostTicks = 7;
constexpr int kMostDecades = 5;

/// "10" and the power as a superscript.
std::string power_text(const char* base, int power) {
  constexpr const char* kDigits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  std::string text = std::string(base) + (power < 0 ? "⁻" : "");
  for (const char digit : fmt::to_string(std::abs(power))) text += kDigits[digit - '0'];
  return text;
}

Axis magnitude_axis(const TensorDistribution& tensor, const ScaledRange* range) {
  double low = static_cast<double>(tensor.bins.first);
  double high = static_cast<double>(tensor.bins.end());
  if (range != nullptr) {
    low = std::min(low, bin_position(range->smallest_kept) - 1);
    high = std::max(high, bin_position(range->largest) + 1);
  }
  Axis axis{.label = "magnitude", .low = std::max(low, 0.0), .high = high};
  const auto first = static_cast<std::size_t>(std::ceil(axis.low / kBinsAnOctave));
  const auto last = static_cast<std::size_t>(axis.high / kBinsAnOctave);
  const std::size_t step = std::max<std::size_t>(1, (last - first + kMostTicks - 1) / kMostTicks);
  for (std::size_t octave = first; octave <= last; octave += step) {
    axis.ticks.push_back({static_cast<double>(octave * kBinsAnOctave),
                          power_text("2", static_cast<int>(octave) - 127)});
  }
  return axis;
}

/// Powers of ten; a single element still is a bar.
Axis count_axis(const MagnitudeBins& bins) {
  const auto most = static_cast<double>(*std::ranges::max_element(bins.counts));
  const int top = std::max(1, static_cast<int>(std::ceil(std::log10(most))));
  Axis axis{.label = "elements", .low = 0.5, .high = std::pow(10, top), .logarithmic = true};
  const int step = std::max(1, (top + kMostDecades - 1) / kMostDecades);
  for (int decade = 0; decade <= top; decade += step) {
    axis.ticks.push_back({std::pow(10, decade), power_text("10", decade)});
  }
  return axis;
}

/// The bars from one bin position to another, as one path; a bar at an end is cut there.
std::string bars_path(const MagnitudeBins& bins, const Axis& x, const Axis& y, double from,
                      double to) {
  std::string path;
  for (std::size_t i = 0; i < bins.counts.size(); ++i) {
    const double left = std::max(static_cast<double>(bins.first + i), from);
    const double right = std::min(static_cast<double>(bins.first + i + 1), to);
    if (left >= right || bins.counts[i] == 0) continue;
    const auto count = static_cast<double>(bins.counts[i]);
    path += fmt::format("M{},{}V{}H{}V{}", at(x.place(left, kArea.left, kArea.right)),
                        at(kArea.bottom), at(y.place(count, kArea.bottom, kArea.top)),
                        at(x.place(right, kArea.left, kArea.right)), at(kArea.bottom));
  }
  return path;
}

Markup draw_bars(const MagnitudeBins& bins, const Axis& x, const Axis& y, double from, double to,
                 const char* css_class) {
  const std::string path = bars_path(bins, x, y, from, to);
  return path.empty() ? Markup() : tag("path", {{"d", path}, {"class", css_class}}, Markup());
}

Markup draw_range(const Axis& x, const ScaledRange& range) {
  const auto place = [&](float magnitude) {
    return x.place(bin_position(magnitude), kArea.left, kArea.right);
  };
  const double low = place(range.smallest_kept);
  const double high = place(range.largest);
  Markup all = svg_line(low, 26, low, kArea.bottom, "guide");
  all += svg_line(high, 14, high, kArea.bottom, "guide");
  const bool is_left = low > (kArea.left + kArea.right) / 2;
  all += svg_text(is_left ? low - 3 : low + 3, 30, is_left ? "tick end" : "tick",
                  "smallest kept " + short_number(range.smallest_kept));
  all += svg_text(high - 3, 18, "tick end", "largest " + short_number(range.largest));
  return all;
}

}  // namespace

std::string range_name(const ScaledRange& range) {
  return fmt::format("{}, {}{}", range.format == Fp8Format::e4m3 ? "E4M3" : "E5M2",
                     range.per_head ? "a scale a head, " : "", fmt::join(range.recipes, ", "));
}

std::string range_sentence(const TensorDistribution& tensor, const ScaledRange* range) {
  const std::string head =
      fmt::format("{} elements, amax {}", tensor.elements, short_number(tensor.amax));
  if (range == nullptr) return head + "; no recipe has a static scale for it.";
  if (range->per_head) {
    return head +
           fmt::format("; {}: the largest is {}; what each does to its head is not recorded.",
                       range_name(*range), short_number(range->scale));
  }
  const double sqnr = sqnr_db(range->error);
  return head +
         fmt::format("; {}: scale {}, clipped {}, flushed to zero {}, {}.", range_name(*range),
                     short_number(range->scale),
                     percentage(range->error.clipped, range->error.elements),
                     percentage(range->error.flushed, range->error.elements),
                     std::isfinite(sqnr) ? fmt::format("SQNR {:.1f} dB", sqnr) : "nothing is lost");
}

Markup distribution_chart(const ChartText& text, const TensorDistribution& tensor,
                          const ScaledRange* range) {
  const MagnitudeBins& bins = tensor.bins;
  if (bins.counts.empty()) {
    return chart_figure(text, 30, svg_text(0, 18, "label", "every element is zero"));
  }
  const Axis x = magnitude_axis(tensor, range);
  const Axis y = count_axis(bins);
  Markup all = axes(kArea, x, y);
  const double low = range == nullptr ? 0 : bin_position(range->smallest_kept);
  const double high = range == nullptr ? HUGE_VAL : bin_position(range->largest);
  all += draw_bars(bins, x, y, 0, low, "flushed");
  all += draw_bars(bins, x, y, low, high, "kept");
  all += draw_bars(bins, x, y, high, HUGE_VAL, "clipped");
  if (range != nullptr) all += draw_range(x, *range);
  return chart_figure(text, kHeight, all);
}

}  // namespace fp8cal
