#include "coordinator/report/timeline_chart.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

namespace fp8cal {
namespace {

constexpr double kTop = 6;
constexpr double kRow = 18;
constexpr double kBar = 13;
constexpr double kLeft = 52;
constexpr double kSmallestGap = 0.5;  ///< units of the picture
constexpr std::size_t kMostStagesNamed = 24;

/// Draws spans in order; what follows at once in the same row and stage becomes one bar.
class SpanPainter {
 public:
  SpanPainter(const PlotArea& area, const Axis& x, const std::vector<std::string>& stages)
      : area_(area), x_(x) {
    for (std::size_t i = 0; i < stages.size(); ++i) patterns_[stages[i]] = i;
  }

  void add(const TimelineSpan& span, std::size_t row) {
    const double left = x_.place(span.begin, area_.left, area_.right);
    const double right = x_.place(span.end, area_.left, area_.right);
    const std::size_t pattern = patterns_.at(span.stage);
    if (bar_ && bar_->row == row && bar_->pattern == pattern && left - bar_->right < kSmallestGap) {
      bar_->right = std::max(bar_->right, right);
      return;
    }
    finish();
    bar_ = Bar{row, pattern, left, right};
  }

  void finish() {
    if (!bar_) return;
    all_ += svg_rect(bar_->left, area_.top + kRow * static_cast<double>(bar_->row),
                     std::max(kSmallestGap, bar_->right - bar_->left), kBar,
                     pattern_class(bar_->pattern));
    bar_.reset();
  }

  const Markup& drawn() const { return all_; }

 private:
  struct Bar {
    std::size_t row = 0;
    std::size_t pattern = 0;
    double left = 0;
    double right = 0;
  };

  const PlotArea& area_;
  const Axis& x_;
  std::map<std::string, std::size_t> patterns_;
  std::optional<Bar> bar_;
  Markup all_;
};

}  // namespace

Markup timeline_chart(const ChartText& text, const TimelineFigure& figure,
                      const std::vector<std::string>& stages, double seconds) {
  std::map<std::size_t, std::size_t> rows;  // rank -> row
  for (const TimelineSpan& span : figure.spans) {
    if (rows.size() < kMostRanksDrawn) rows.emplace(span.rank, rows.size());
  }
  const PlotArea area{.left = kLeft,
                      .top = kTop,
                      .right = kChartWidth - 10,
                      .bottom = kTop + kRow * static_cast<double>(rows.size())};
  const Axis x = linear_axis("seconds since the start", 0, seconds, 5);
  Markup all = x_axis(area, x);
  for (const auto& [rank, row] : rows) {
    all += svg_text(kLeft - 5, area.top + kRow * static_cast<double>(row) + kBar - 2, "tick end",
                    fmt::format("rank {}", rank));
  }
  SpanPainter painter(area, x, stages);
  for (const TimelineSpan& span : figure.spans) {
    const auto row = rows.find(span.rank);
    if (row != rows.end()) painter.add(span, row->second);
  }
  painter.finish();
  all += painter.drawn();
  all += svg_line(area.left, area.top, area.left, area.bottom, "axis");
  return chart_figure(text, area.bottom + 32, all);
}

Markup stage_legend(const std::vector<std::string>& stages) {
  std::vector<std::string> named = stages;
  named.resize(std::min(stages.size(), kMostStagesNamed));
  return pattern_legend(named);
}

}  // namespace fp8cal
