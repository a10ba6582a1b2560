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
    low = std::min(low, range->low.position - 1);
    high = std::max(high, range->high.position + 1);
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
  Axis axis{.label = "", .low = 0.5, .high = std::pow(10, top), .logarithmic = true};
  const int step = std::max(1, (top + kMostDecades - 1) / kMostDecades);
  for (int decade = 0; decade <= top; decade += step) {
    axis.ticks.push_back({std::pow(10, decade), power_text("10", decade)});
  }
  return axis;
}

/// Bars as one path.
class BarsPath {
 public:
  BarsPath(const Axis& x, const Axis& y) : x_(x), y_(y) {}

  /// From one bin position to another.
  void add(double left, double right, std::uint64_t count) {
    if (left >= right || count == 0) return;
    const double height = y_.place(static_cast<double>(count), kArea.bottom, kArea.top);
    path_ += fmt::format("M{},{}V{}H{}V{}", at(x_.place(left, kArea.left, kArea.right)),
                         at(kArea.bottom), at(height), at(x_.place(right, kArea.left, kArea.right)),
                         at(kArea.bottom));
  }

  Markup drawn(const char* css_class) const {
    return path_.empty() ? Markup() : tag("path", {{"d", path_}, {"class", css_class}}, Markup());
  }

 private:
  const Axis& x_;
  const Axis& y_;
  std::string path_;
};

Markup draw_bars(const MagnitudeBins& bins, const Axis& x, const Axis& y,
                 const ScaledRange* range) {
  BarsPath flushed(x, y);
  BarsPath kept(x, y);
  BarsPath clipped(x, y);
  for (std::size_t i = 0; i < bins.counts.size(); ++i) {
    const std::size_t bin = bins.first + i;
    const auto left = static_cast<double>(bin);
    if (range == nullptr) {
      kept.add(left, left + 1, bins.counts[i]);
    } else if (bin == range->low.bin) {
      flushed.add(left, range->low.position, range->low.beyond);
      kept.add(range->low.position, left + 1, range->low.kept);
    } else if (bin == range->high.bin) {
      kept.add(left, range->high.position, range->high.kept);
      clipped.add(range->high.position, left + 1, range->high.beyond);
    } else {
      (bin < range->low.bin    ? flushed
       : bin > range->high.bin ? clipped
                               : kept)
          .add(left, left + 1, bins.counts[i]);
    }
  }
  Markup all = flushed.drawn("flushed");
  all += kept.drawn("kept");
  all += clipped.drawn("clipped");
  return all;
}

Markup draw_range(const Axis& x, const ScaledRange& range) {
  const double low = x.place(range.low.position, kArea.left, kArea.right);
  const double high = x.place(range.high.position, kArea.left, kArea.right);
  Markup all = svg_line(low, 26, low, kArea.bottom, "guide");
  all += svg_line(high, 14, high, kArea.bottom, "guide");
  const bool is_right = low > (kArea.left + kArea.right) / 2;
  all += svg_text(is_right ? low - 3 : low + 3, 30, is_right ? "tick end" : "tick",
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
  all += svg_text(0, 12, "name", "elements");  // above what is said of the range
  all += draw_bars(bins, x, y, range);
  if (range != nullptr) all += draw_range(x, *range);
  return chart_figure(text, kHeight, all);
}

}  // namespace fp8cal
