#include "coordinator/report/latency_text.hpp"

#include <fmt/format.h>

#include "coordinator/report/latency_tables.hpp"
#include "coordinator/report/total_times.hpp"
#include "coordinator/status/printable.hpp"

namespace fp8cal {
namespace {

std::string titled(const std::string& title, const TextTable& table) {
  return table.rows.empty() ? "" : fmt::format("\n{}\n{}", title, aligned_text(table));
}

std::string latencies(const LatencyProfile& profile, bool decodes, const char* what,
                      const char* absent) {
  std::string text;
  for (const std::string& kv : kv_of(profile)) {
    text += titled(fmt::format("{}, ms: median (95th percentile); KV in {}", what, kv),
                   latency_table(profile, decodes, kv));
  }
  return text.empty() ? fmt::format("\n{}\n", absent) : text;
}

std::string causes(const LatencyProfile& profile, bool decodes) {
  const std::optional<PassPoint> point = middle_point(profile, decodes);
  if (!point) return "";
  return titled(fmt::format("what the time goes to, {}: share (of that, the least by the ceilings)",
                            point_name(*point)),
                cause_table(profile, *point));
}

std::string totals(const LatencyProfile& profile) {
  std::string text;
  for (const TotalTimes& times : total_times(profile)) {
    text += titled(fmt::format("a prompt of {} tokens and its answer, {} at a time", times.prompt,
                               times.sequences),
                   total_table(times));
  }
  return text;
}

}  // namespace

std::string latency_text(const LatencyFigures& figures, const std::string& file) {
  const LatencyProfile& profile = figures.profile;
  std::string text = aligned_text(ceiling_table(profile));
  text += latencies(profile, false, "time to first token", "no time to first token was measured");
  text +=
      latencies(profile, true, "time per output token", "no time per output token was measured");
  text += causes(profile, false) + causes(profile, true) + totals(profile);
  text += titled("what does not fit in device memory", unfit_table(profile));
  text += titled("decoding held against the full forward pass, negative log-likelihood",
                 check_table(profile));
  if (!figures.answer.empty()) text += "\n";
  for (const std::string& line : figures.answer) text += printable(line) + "\n";
  return text + "\n" + aligned_text(profile_facts(profile, printable(file)));
}

}  // namespace fp8cal
