#include "coordinator/report/latency_charts.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "coordinator/report/line_panels.hpp"
#include "coordinator/report/page_parts.hpp"
#include "coordinator/report/time_unit.hpp"

namespace fp8cal {
namespace {

constexpr std::size_t kMostPanels = 24;  // of one kind on a page; the tables have all

double most_seconds(const LatencyProfile& profile, bool decodes) {
  double most = 0;
  for (const ProfiledPass& pass : profile.passes) {
    if (pass.key.decodes == decodes) most = std::max(most, pass.latency.p95);
  }
  return most;
}

/// A line a variant, over the tokens of `points`.
std::vector<Series> lines_over(const LatencyProfile& profile, const std::vector<PassPoint>& points,
                               const std::string& kv, const TimeUnit& unit) {
  std::vector<Series> lines;
  const std::vector<std::string> variants = variants_of(profile);
  for (std::size_t i = 0; i < variants.size(); ++i) {
    Series line{.name = variants[i], .style = i, .points = {}};
    for (const PassPoint& point : points) {
      const ProfiledPass* pass = find_pass(profile, point, variants[i], kv);
      if (pass == nullptr) continue;
      const double median = pass->latency.median * unit.in_a_second;
      line.points.emplace_back(static_cast<double>(point.tokens), median);
      line.intervals.emplace_back(std::pair(median, pass->latency.p95 * unit.in_a_second));
    }
    if (!line.points.empty()) lines.push_back(std::move(line));
  }
  return lines;
}

/// Charts that share their axes, and which line is which.
Markup panels_of_tokens(std::vector<Panel> panels, const std::string& x, const TimeUnit& unit) {
  const std::size_t count = panels.size();
  if (count > kMostPanels) panels.resize(kMostPanels);
  const auto tokens = x_bounds(panels);
  if (!tokens) return {};
  const auto times = y_bounds(panels);
  const Axis across = tokens_axis(x, tokens->low, tokens->high);
  const Axis up = log_axis(unit.name, times->low, times->high);
  Markup all = panel_legend(panels);
  all += panel_charts(panels, across, up);
  if (count > kMostPanels) {
    all +=
        absent(fmt::format("Drawn are {} of {} charts; the tables have all.", kMostPanels, count));
  }
  return all;
}

}  // namespace

Markup first_token_charts(const LatencyProfile& profile, const ChartNames& names) {
  const TimeUnit unit = unit_for(most_seconds(profile, false));
  std::vector<Panel> panels;
  for (const std::string& kv : kv_of(profile)) {
    panels.push_back({{.id = fmt::format("first-token-{}-{}", names.index, panels.size()),
                       .title = fmt::format("{}time to first token, KV in {}", names.prefix, kv),
                       .description = "Median time over the length of the prompt, a line a "
                                      "variant; whiskers up to the 95th percentile."},
                      lines_over(profile, points_of(profile, false), kv, unit)});
  }
  std::erase_if(panels, [](const Panel& panel) { return panel.series.empty(); });
  return panels_of_tokens(std::move(panels), "tokens of the prompt", unit);
}

Markup output_token_charts(const LatencyProfile& profile, const ChartNames& names) {
  const TimeUnit unit = unit_for(most_seconds(profile, true));
  const std::vector<PassPoint> points = points_of(profile, true);
  std::vector<Panel> panels;
  for (auto begin = points.begin(); begin != points.end();) {
    const std::size_t sequences = begin->sequences;
    const auto end = std::find_if(begin, points.end(), [sequences](const PassPoint& point) {
      return point.sequences != sequences;
    });
    for (const std::string& kv : kv_of(profile)) {
      std::vector<Series> lines = lines_over(profile, {begin, end}, kv, unit);
      if (lines.empty()) continue;
      panels.push_back(
          {{.id = fmt::format("output-token-{}-{}", names.index, panels.size()),
            .title = fmt::format("{}{} at a time, KV in {}", names.prefix, sequences, kv),
            .description = "Median time per output token over what each sequence has "
                           "already, a line a variant; whiskers up to the 95th "
                           "percentile."},
           std::move(lines)});
    }
    begin = end;
  }
  return panels_of_tokens(std::move(panels), "tokens that each sequence has already", unit);
}

}  // namespace fp8cal
