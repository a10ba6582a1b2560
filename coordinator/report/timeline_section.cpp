#include <fmt/format.h>

#include <algorithm>

#include "coordinator/report/page_parts.hpp"
#include "coordinator/report/sections.hpp"
#include "coordinator/report/timeline_chart.hpp"

namespace fp8cal {
namespace {

constexpr std::size_t kMostRanksListed = 64;
constexpr std::size_t kMostStagesListed = 8;

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

/// Of the stages that compute tokens, the first kMostStagesListed.
std::vector<std::string> computing_stages(const TimelineFigure& timeline) {
  std::vector<std::string> stages;
  for (const RankThroughput& one : timeline.throughput) {
    const bool is_new = std::ranges::find(stages, one.stage) == stages.end();
    if (one.tokens > 0 && is_new && stages.size() < kMostStagesListed) stages.push_back(one.stage);
  }
  return stages;
}

/// A row a rank: how long it was at it, and tokens/s of the whole job in each stage that computes.
Markup throughput_table(const std::string& prefix, const TimelineFigure& timeline) {
  const std::vector<std::string> stages = computing_stages(timeline);
  TextTable table{.header = {"rank", "busy, s"}, .rows = {}};
  for (const std::string& stage : stages) table.header.push_back(stage + ", tokens/s of the job");
  const auto& all = timeline.throughput;
  std::size_t ranks = 0;
  for (auto begin = all.begin(); begin != all.end();) {
    const auto end = std::find_if(
        begin, all.end(), [&](const RankThroughput& one) { return one.rank != begin->rank; });
    if (++ranks <= kMostRanksListed) {
      double seconds = 0;
      std::vector<std::string> speeds(stages.size(), "-");
      for (auto one = begin; one != end; ++one) {
        seconds += one->seconds;
        const auto stage = std::ranges::find(stages, one->stage);
        if (stage == stages.end() || one->seconds <= 0) continue;
        speeds[static_cast<std::size_t>(stage - stages.begin())] =
            fmt::format("{:.0f}", static_cast<double>(one->tokens) / one->seconds);
      }
      std::vector<std::string> row = {fmt::to_string(begin->rank), fmt::format("{:.3f}", seconds)};
      row.insert(row.end(), speeds.begin(), speeds.end());
      table.rows.push_back(std::move(row));
    }
    begin = end;
  }
  std::string caption = prefix + "Throughput by rank";
  if (ranks > kMostRanksListed) {
    caption += fmt::format(", the first {} of {}", kMostRanksListed, ranks);
  }
  return html_table(table, caption);
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
                      "What each rank did when, and how many tokens a second all ranks "
                      "computed together meanwhile.",
                      content);
}

}  // namespace fp8cal
