#include <fmt/format.h>

#include <algorithm>

#include "coordinator/report/page_parts.hpp"
#include "coordinator/report/sections.hpp"
#include "coordinator/report/timeline_chart.hpp"

namespace fp8cal {
namespace {

constexpr std::size_t kMostThroughputRows = 200;

/// Of all results, each once.
std::vector<std::string> all_stages(const ReportFigures& report) {
  std::vector<std::string> stages;
  for (const ResultFigures& one : report.results) {
    for (const std::string& stage : one.timeline.stages) {
      if (std::ranges::find(stages, stage) == stages.end()) stages.push_back(stage);
    }
  }
  return stages;
}

double last_end(const ReportFigures& report) {
  double last = 0;
  for (const ResultFigures& one : report.results) {
    for (const TimelineSpan& span : one.timeline.spans) last = std::max(last, span.end);
  }
  return last;
}

Markup throughput_table(const std::string& prefix, const TimelineFigure& timeline) {
  TextTable table{.header = {"rank", "stage", "seconds", "tokens", "tokens/s"}, .rows = {}};
  for (const RankThroughput& one : timeline.throughput) {
    if (table.rows.size() == kMostThroughputRows) break;
    const bool computes = one.tokens > 0 && one.seconds > 0;
    table.rows.push_back(
        {fmt::to_string(one.rank), one.stage, fmt::format("{:.3f}", one.seconds),
         fmt::to_string(one.tokens),
         computes ? fmt::format("{:.0f}", static_cast<double>(one.tokens) / one.seconds) : "-"});
  }
  const bool is_cut = timeline.throughput.size() > kMostThroughputRows;
  return html_table(table,
                    prefix + (is_cut ? fmt::format("Throughput by rank, the first {} of {} rows",
                                                   kMostThroughputRows, timeline.throughput.size())
                                     : "Throughput by rank"));
}

std::string ranks_sentence(const TimelineFigure& timeline) {
  std::size_t ranks = 0;
  for (std::size_t i = 0; i < timeline.spans.size(); ++i) {
    ranks += i == 0 || timeline.spans[i].rank != timeline.spans[i - 1].rank ? 1 : 0;
  }
  return ranks <= kMostRanksDrawn
             ? ""
             : fmt::format("Drawn are {} of {} ranks; the CSV has all.", kMostRanksDrawn, ranks);
}

TextTable facts_table(const std::vector<Fact>& facts) {
  TextTable table{.header = {"what", "value"}, .rows = {}};
  for (const Fact& fact : facts) table.rows.push_back({fact.name, fact.value});
  return table;
}

}  // namespace

Markup timeline_section(const ReportFigures& report) {
  const std::vector<std::string> stages = all_stages(report);
  const double seconds = last_end(report);
  Markup charts;
  Markup rest;
  for (std::size_t i = 0; i < report.results.size(); ++i) {
    const TimelineFigure& timeline = report.results[i].timeline;
    if (timeline.spans.empty()) {
      rest += absent_from(report, i, "has no timeline.");
      continue;
    }
    const std::string prefix = result_prefix(report, i);
    charts += timeline_chart({.id = chart_id("timeline", i),
                              .title = prefix + "Stages by rank",
                              .description = "A row a rank: which stage it was in, in seconds "
                                             "since the start of the job."},
                             timeline, stages, seconds);
    const std::string sentence = ranks_sentence(timeline);
    if (!sentence.empty()) rest += absent(prefix + sentence);
    rest += throughput_table(prefix, timeline);
  }
  Markup content;
  if (!charts.empty()) {
    content += stage_legend(stages);
    content += chart_grid(charts);
  }
  content += rest;
  return page_section("timeline-part", "Timeline and throughput",
                      "What each rank did when, and how many tokens a second it computed.",
                      content);
}

Markup provenance_section(const ReportFigures& report) {
  Markup content;
  for (std::size_t i = 0; i < report.results.size(); ++i) {
    const Facts& facts = report.results[i].facts;
    const std::string prefix = result_prefix(report, i);
    content += html_table(facts_table(facts.origin), prefix + report.results[i].file);
    content += details(prefix + "everything that determines the content",
                       html_table(facts_table(facts.job), prefix + "job"));
    content += details(prefix + "everything about the run",
                       html_table(facts_table(facts.provenance), prefix + "provenance"));
  }
  return page_section(
      "provenance-part", "Provenance and digests",
      "Where the numbers come from. 'fp8cal audit' verifies a result by its content "
      "digest.",
      content);
}

}  // namespace fp8cal
