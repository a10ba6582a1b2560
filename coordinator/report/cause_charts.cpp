#include <algorithm>

#include "coordinator/report/bar_chart.hpp"
#include "coordinator/report/latency_charts.hpp"
#include "coordinator/report/latency_tables.hpp"
#include "coordinator/report/page_parts.hpp"
#include "coordinator/report/sections.hpp"
#include "coordinator/report/time_unit.hpp"

namespace fp8cal {
namespace {

Bar stacked_bar(const ProfiledPass& pass, const TimeUnit& unit) {
  Bar bar{.label = configuration_name(pass.key.variant, pass.key.kv),
          .text = time_text(pass.latency.median)};
  for (const CauseTime& cause : pass.causes) {
    bar.parts.push_back(cause.seconds * unit.in_a_second);
    bar.value += bar.parts.back();
  }
  return bar;
}

Markup cause_chart(const LatencyProfile& profile, const PassPoint& point, const ChartNames& names) {
  const std::vector<const ProfiledPass*> passes = passes_at(profile, point);
  double most = 0;
  for (const ProfiledPass* pass : passes) most = std::max(most, pass->latency.median);
  const TimeUnit unit = unit_for(most);
  std::vector<Bar> bars;
  for (const ProfiledPass* pass : passes) bars.push_back(stacked_bar(*pass, unit));
  const char* name = point.decodes ? "causes-decode" : "causes-prefill";
  return stacked_chart({.id = chart_id(name, names.index),
                        .title = names.prefix + point_name(point),
                        .description = "A bar a variant: the time of a pass, in parts by what it "
                                       "goes to."},
                       bar_axis(unit.name, bars), bars);
}

}  // namespace

Markup cause_charts(const LatencyProfile& profile, const ChartNames& names) {
  Markup charts;
  for (const bool decodes : {false, true}) {
    const std::optional<PassPoint> point = middle_point(profile, decodes);
    if (point) charts += cause_chart(profile, *point, names);
  }
  if (charts.empty()) return {};
  std::vector<std::string> causes;
  for (std::size_t i = 0; i < kCauses; ++i) causes.emplace_back(cause_name(Cause(i)));
  Markup all = pattern_legend(causes);
  all += chart_grid(charts);
  return all;
}

}  // namespace fp8cal
