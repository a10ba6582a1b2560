#include "coordinator/report/timeline_figure.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

namespace fp8cal {
namespace {

constexpr std::size_t kMostRanks = 65536;
constexpr double kMostSeconds = 1e9;
constexpr std::size_t kMostStageBytes = 64;

template <class Number>
bool parse(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

std::optional<TimelineSpan> parse_span(std::string_view line) {
  std::array<std::string_view, 4> fields;
  for (std::string_view& field : fields) {
    const std::size_t tab = line.find('\t');
    if (tab == line.npos) return std::nullopt;
    field = line.substr(0, tab);
    line.remove_prefix(tab + 1);
  }
  TimelineSpan span{.stage = std::string(line)};
  const bool are_numbers = parse(fields[0], span.rank) && parse(fields[1], span.begin) &&
                           parse(fields[2], span.end) && parse(fields[3], span.tokens);
  const bool are_bounded = span.rank < kMostRanks && span.begin >= 0 && span.begin <= span.end &&
                           span.end <= kMostSeconds;
  const bool is_named = !line.empty() && line.size() <= kMostStageBytes;
  if (!are_numbers || !are_bounded || !is_named) return std::nullopt;
  return span;
}

std::vector<std::string> stages_of(std::vector<TimelineSpan> spans) {
  std::ranges::stable_sort(spans, {}, &TimelineSpan::begin);
  std::set<std::string> known;
  std::vector<std::string> stages;
  for (const TimelineSpan& span : spans) {
    if (known.insert(span.stage).second) stages.push_back(span.stage);
  }
  return stages;
}

/// spans: by rank and begin.
std::vector<RankThroughput> throughput_of(const std::vector<TimelineSpan>& spans) {
  std::vector<RankThroughput> all;
  std::map<std::pair<std::size_t, std::string>, std::size_t> indices;
  for (const TimelineSpan& span : spans) {
    const auto [entry, is_new] = indices.emplace(std::pair(span.rank, span.stage), all.size());
    if (is_new) all.push_back({span.rank, span.stage, 0, 0});
    all[entry->second].seconds += span.end - span.begin;
    all[entry->second].tokens += span.tokens;
  }
  return all;
}

}  // namespace

TimelineFigure timeline_of(const Result& result) {
  TimelineFigure figure;
  const auto found = result.provenance.find("timeline");
  if (found == result.provenance.end()) return figure;
  const auto* lines = std::get_if<std::vector<std::string>>(&found->second);
  if (lines == nullptr) return figure;
  for (const std::string& line : *lines) {
    if (auto span = parse_span(line)) figure.spans.push_back(std::move(*span));
  }
  std::ranges::stable_sort(figure.spans, [](const TimelineSpan& a, const TimelineSpan& b) {
    return std::tie(a.rank, a.begin) < std::tie(b.rank, b.begin);
  });
  figure.stages = stages_of(figure.spans);
  figure.throughput = throughput_of(figure.spans);
  return figure;
}

}  // namespace fp8cal
