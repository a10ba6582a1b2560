#include "coordinator/report/latency_section.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "coordinator/report/latency_charts.hpp"
#include "coordinator/report/latency_tables.hpp"
#include "coordinator/report/page_parts.hpp"
#include "coordinator/report/sections.hpp"

namespace fp8cal {
namespace {

bool measured_one_variant(const LatencyProfile& profile) {
  return std::ranges::all_of(profile.passes, [&](const ProfiledPass& pass) {
    return pass.key.variant == profile.passes.front().key.variant;
  });
}

Markup table_if_any(const TextTable& table, const std::string& caption) {
  return table.rows.empty() ? Markup() : html_table(table, caption);
}

/// The heading of a part, what it says, its charts and, folded, their numbers.
Markup part(const std::string& heading, const char* says, const Markup& charts,
            const Markup& numbers) {
  Markup all = tag("h3", heading);
  all += tag("p", {{"class", "says"}}, says);
  all += charts;
  if (!numbers.empty()) all += details("The numbers", numbers);
  return all;
}

Markup latency_numbers(const LatencyProfile& profile, bool decodes) {
  Markup all;
  for (const std::string& kv : kv_of(profile)) {
    all += table_if_any(latency_table(profile, decodes, kv),
                        fmt::format("ms, median (95th percentile), KV in {}", kv));
  }
  return all;
}

Markup first_token_part(const LatencyProfile& profile, const ChartNames& names) {
  const Markup charts = first_token_charts(profile, names);
  if (charts.empty()) return absent(names.prefix + "No time to first token was measured.");
  return part(names.prefix + "Time to first token",
              "How long a prompt takes until its first token is there.", charts,
              latency_numbers(profile, false));
}

Markup output_token_part(const LatencyProfile& profile, const ChartNames& names) {
  const Markup charts = output_token_charts(profile, names);
  if (charts.empty()) return absent(names.prefix + "No time per output token was measured.");
  return part(names.prefix + "Time per output token",
              "How long each further token of all sequences of a batch takes.", charts,
              latency_numbers(profile, true));
}

Markup cause_part(const LatencyProfile& profile, const ChartNames& names) {
  const Markup charts = cause_charts(profile, names);
  if (charts.empty()) return {};
  Markup numbers;
  for (const bool decodes : {false, true}) {
    const std::optional<PassPoint> point = middle_point(profile, decodes);
    if (!point) continue;
    numbers += html_table(
        cause_table(profile, *point),
        point_name(*point) + ": share of the time (of that, the least that the ceilings allow)");
  }
  return part(names.prefix + "What the time goes to",
              "The middle prompt and batch of those that were measured; the CSV has all.", charts,
              numbers);
}

Markup total_part(const LatencyProfile& profile, const ChartNames& names) {
  const Markup charts = total_charts(profile, names);
  if (charts.empty()) {
    return absent(names.prefix +
                  "Which variant is first over a whole answer is not known: it takes both a "
                  "prompt and decoding.");
  }
  Markup numbers;
  const std::vector<TotalTimes> all = total_times(profile);
  for (const TotalTimes& times : all) {
    numbers += html_table(total_table(times),
                          fmt::format("a prompt of {} tokens, answered {} at a time after {}",
                                      times.prompt, times.sequences, times.context));
  }
  Markup content = part(names.prefix + "Over a whole answer",
                        "Time to first token and all tokens after it, by the number of tokens "
                        "answered. Dots: where a line crosses that of BF16.",
                        charts, numbers);
  if (all.front().reference() == nullptr) {
    content += absent(names.prefix + "BF16 was not measured: there is nothing to cross.");
  }
  return content;
}

Markup about(const LatencyProfile& profile, const std::string& file) {
  Markup content = table_if_any(unfit_table(profile), "What does not fit in device memory");
  content += table_if_any(check_table(profile),
                          "Decoding held against the full forward pass, negative log-likelihood");
  content += html_table(profile_facts(profile, file), "Where the latencies come from");
  return content;
}

}  // namespace

Markup latency_content(const LatencyFigures& figures, const std::string& file,
                       const ChartNames& names) {
  const LatencyProfile& profile = figures.profile;
  Markup content;
  for (const std::string& line : figures.answer) content += tag("p", names.prefix + line);
  content += html_table(ceiling_table(profile), names.prefix + "What the device does at most");
  if (profile.passes.empty()) {
    content += absent(names.prefix + "No pass was measured.");
  } else {
    content += first_token_part(profile, names);
    content += output_token_part(profile, names);
    content += cause_part(profile, names);
    content += total_part(profile, names);
    if (measured_one_variant(profile)) {
      content += absent(names.prefix + "One variant alone was measured: nothing to compare.");
    }
  }
  content += details(names.prefix + "what does not fit, checks and origin", about(profile, file));
  return content;
}

Markup latency_section_of(const Markup& content) {
  return page_section("latency-part", "Latency",
                      "What FP8 costs before the first token and gains after it.", content);
}

Markup latency_section(const ReportFigures& report) {
  Markup content;
  for (std::size_t i = 0; i < report.results.size(); ++i) {
    const ResultFigures& one = report.results[i];
    content += one.latency
                   ? latency_content(*one.latency, one.file, {result_prefix(report, i), i})
                   : absent_from(report, i, "holds no latencies: 'fp8cal profile' measures them.");
  }
  return latency_section_of(content);
}

}  // namespace fp8cal
