#include <fmt/format.h>

#include <algorithm>

#include "coordinator/report/latency_charts.hpp"
#include "coordinator/report/line_panels.hpp"
#include "coordinator/report/page_parts.hpp"
#include "coordinator/report/time_unit.hpp"
#include "coordinator/report/total_times.hpp"

namespace fp8cal {
namespace {

constexpr std::size_t kMostLengths = 8;     // of prompts on a page; the table has all
constexpr std::size_t kReferenceStyle = 5;  // beside the lines of variants
constexpr double kFewestAnswered = 1024;    // tokens, at which an axis may end
constexpr double kMostAnswered = 1 << 20;

/// Where the axis of answers ends: well beyond the last crossing.
double most_answered(const std::vector<TotalTimes>& all) {
  double most = kFewestAnswered;
  for (const TotalTimes& times : all) {
    const TotalTime* reference = times.reference();
    if (reference == nullptr) continue;
    for (const TotalTime& line : times.lines) {
      while (most < kMostAnswered && most < 2 * crossing(line, *reference).value_or(0)) most *= 2;
    }
  }
  return most;
}

/// The charts of one length of prompt, one a format of keys and values. variants: each has a style.
class TotalPanels {
 public:
  TotalPanels(const TotalTimes& times, const std::vector<std::string>& variants, double answered)
      : times_(times), variants_(variants), answered_(answered), reference_(times.reference()) {
    double most = 0;
    for (const TotalTime& line : times.lines) most = std::max(most, line.of(answered));
    unit_ = unit_for(most);
  }

  const TimeUnit& unit() const { return unit_; }

  Panel panel(const std::string& kv, const ChartText& text) const {
    Panel panel{.text = text, .series = {}};
    for (const TotalTime& line : times_.lines) {
      if (line.kv != kv) continue;
      const auto style = std::ranges::find(variants_, line.variant) - variants_.begin();
      panel.series.push_back(series(line, line.variant, static_cast<std::size_t>(style)));
      mark_crossing(line, panel);
    }
    if (reference_ != nullptr && kv != reference_->kv && !panel.series.empty()) {
      panel.series.push_back(series(
          *reference_, configuration_name(reference_->variant, reference_->kv), kReferenceStyle));
    }
    return panel;
  }

 private:
  Series series(const TotalTime& time, const std::string& name, std::size_t style) const {
    Series line{.name = name, .style = style, .points = {}};
    for (double tokens = 1; tokens <= answered_; tokens *= 2) {
      line.points.emplace_back(tokens, time.of(tokens) * unit_.in_a_second);
    }
    return line;
  }

  void mark_crossing(const TotalTime& line, Panel& panel) const {
    if (reference_ == nullptr) return;
    const std::optional<double> tokens = crossing(line, *reference_);
    if (!tokens || *tokens > answered_) return;
    panel.marked.emplace_back(*tokens, line.of(*tokens) * unit_.in_a_second);
  }

  const TotalTimes& times_;
  const std::vector<std::string>& variants_;
  double answered_;
  const TotalTime* reference_;
  TimeUnit unit_{};
};

}  // namespace

Markup total_charts(const LatencyProfile& profile, const ChartNames& names) {
  std::vector<TotalTimes> all = total_times(profile);
  const std::size_t lengths = all.size();
  if (all.size() > kMostLengths) all.resize(kMostLengths);
  const std::vector<std::string> variants = variants_of(profile);
  const double answered = most_answered(all);
  const Axis across = tokens_axis("tokens answered", 1, answered);
  std::vector<Panel> drawn;
  Markup charts;
  for (const TotalTimes& times : all) {
    const TotalPanels panels(times, variants, answered);
    const std::size_t first = drawn.size();
    for (const std::string& kv : kv_of(profile)) {
      const std::string length = token_count(static_cast<double>(times.prompt));
      Panel one = panels.panel(
          kv, {.id = fmt::format("total-{}-{}", names.index, drawn.size()),
               .title = fmt::format("{}prompt of {} tokens, KV in {}", names.prefix, length, kv),
               .description = "Time for a prompt and its answer over the number of tokens "
                              "answered, a line a variant; dots where one crosses that of BF16."});
      if (!one.series.empty()) drawn.push_back(std::move(one));
    }
    const std::vector<Panel> row(drawn.begin() + static_cast<std::ptrdiff_t>(first), drawn.end());
    const auto bounds = y_bounds(row);
    charts += panel_charts(row, across, log_axis(panels.unit().name, bounds->low, bounds->high));
  }
  if (drawn.empty()) return {};
  Markup content = panel_legend(drawn);
  content += charts;
  if (lengths > kMostLengths) {
    content += absent(fmt::format("Drawn are {} of {} lengths of prompts; the tables have all.",
                                  kMostLengths, lengths));
  }
  return content;
}

}  // namespace fp8cal
