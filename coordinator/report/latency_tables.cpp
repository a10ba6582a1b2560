#include "coordinator/report/latency_tables.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "coordinator/report/axis.hpp"
#include "jobs/byte_size.hpp"

namespace fp8cal {
namespace {

constexpr const char* kNone = "-";
constexpr double kMilliseconds = 1e3;

std::string rate_text(double a_second, const char* unit) {
  return fmt::format("{} T{}/s", short_number(a_second / 1e12), unit);
}

std::string percent(double share) { return fmt::format("{:.0f} %", 100 * share); }

/// Of all passes at `point`: the causes that take any time, in their order.
std::vector<Cause> causes_of(const std::vector<const ProfiledPass*>& passes) {
  std::vector<Cause> causes;
  for (std::size_t i = 0; i < kCauses; ++i) {
    if (std::ranges::any_of(passes, [i](const auto* one) { return one->causes[i].seconds > 0; })) {
      causes.push_back(Cause(i));
    }
  }
  return causes;
}

std::string cause_cell(const LatencyProfile& profile, const ProfiledPass& pass, Cause cause) {
  double seconds = 0;
  for (const CauseTime& one : pass.causes) seconds += one.seconds;
  const double own = pass.causes[static_cast<std::size_t>(cause)].seconds;
  if (own == 0) return kNone;
  const std::optional<double> ceiling = share_of_ceiling(profile, pass, cause);
  return percent(own / seconds) + (ceiling ? fmt::format(" ({})", percent(*ceiling)) : "");
}

std::string latency_cell(const LatencyProfile& profile, const PassPoint& point,
                         const std::string& variant, const std::string& kv) {
  const ProfiledPass* pass = find_pass(profile, point, variant, kv);
  if (pass == nullptr) return is_unfit(profile, point, variant, kv) ? "does not fit" : kNone;
  return fmt::format("{} ({})", short_number(kMilliseconds * pass->latency.median),
                     short_number(kMilliseconds * pass->latency.p95));
}

}  // namespace

std::string time_text(double seconds) {
  return seconds < 1 ? short_number(kMilliseconds * seconds) + " ms" : short_number(seconds) + " s";
}

TextTable ceiling_table(const LatencyProfile& profile) {
  const Ceilings& ceilings = profile.ceilings;
  TextTable table{.header = {"ceiling", "measured"}, .rows = {}};
  table.rows.push_back({"reading device memory", rate_text(ceilings.bytes_per_s, "B")});
  table.rows.push_back({"products in BF16", rate_text(ceilings.bf16_flop_per_s, "FLOP")});
  table.rows.push_back({"products in FP8", ceilings.fp8_flop_per_s > 0
                                               ? rate_text(ceilings.fp8_flop_per_s, "FLOP")
                                               : "no tensor cores for it"});
  if (ceilings.gather_bytes_per_s > 0) {
    table.rows.push_back({"gathered by a rank", rate_text(ceilings.gather_bytes_per_s, "B")});
  }
  return table;
}

TextTable latency_table(const LatencyProfile& profile, bool decodes, const std::string& kv) {
  const std::vector<std::string> variants = variants_of(profile);
  TextTable table;
  table.header = decodes ? std::vector<std::string>{"sequences", "after tokens"}
                         : std::vector<std::string>{"prompt"};
  table.header.insert(table.header.end(), variants.begin(), variants.end());
  for (const PassPoint& point : points_of(profile, decodes)) {
    std::vector<std::string> row;
    if (decodes) row.push_back(fmt::to_string(point.sequences));
    row.push_back(fmt::to_string(point.tokens));
    const std::size_t names = row.size();
    for (const std::string& variant : variants) {
      row.push_back(latency_cell(profile, point, variant, kv));
    }
    const bool is_empty = std::all_of(row.begin() + static_cast<std::ptrdiff_t>(names), row.end(),
                                      [](const std::string& cell) { return cell == kNone; });
    if (!is_empty) table.rows.push_back(std::move(row));
  }
  return table;
}

TextTable cause_table(const LatencyProfile& profile, const PassPoint& point) {
  const std::vector<const ProfiledPass*> passes = passes_at(profile, point);
  const std::vector<Cause> causes = causes_of(passes);
  TextTable table{.header = {"variant", "KV", "time"}, .rows = {}};
  for (const Cause cause : causes) table.header.emplace_back(cause_name(cause));
  for (const ProfiledPass* pass : passes) {
    std::vector<std::string> row = {pass->key.variant, pass->key.kv,
                                    time_text(pass->latency.median)};
    for (const Cause cause : causes) row.push_back(cause_cell(profile, *pass, cause));
    table.rows.push_back(std::move(row));
  }
  return table;
}

TextTable total_table(const TotalTimes& times) {
  const TotalTime* reference = times.reference();
  TextTable table{.header = {"variant", "KV", "first token", "each token after", "against BF16"},
                  .rows = {}};
  for (const TotalTime& line : times.lines) {
    table.rows.push_back(
        {line.variant, line.kv, time_text(line.first), time_text(line.each),
         reference == nullptr || reference == &line ? kNone : crossing_text(line, *reference)});
  }
  return table;
}

TextTable unfit_table(const LatencyProfile& profile) {
  TextTable table{.header = {"variant", "KV", "pass", "needs", "of"}, .rows = {}};
  for (const UnfitPass& one : profile.unfit) {
    const PassPoint point = {one.key.decodes, one.key.sequences, one.key.tokens};
    table.rows.push_back({one.key.variant, one.key.kv, point_name(point),
                          format_byte_size(one.needed_bytes), format_byte_size(one.budget_bytes)});
  }
  return table;
}

TextTable check_table(const LatencyProfile& profile) {
  TextTable table{.header = {"variant", "KV", "tokens", "mean difference", "largest", "bits"},
                  .rows = {}};
  for (const DecodeCheck& one : profile.checks) {
    table.rows.push_back({one.variant, one.kv, fmt::to_string(one.tokens),
                          fmt::format("{:+.2g} nats", one.mean_difference),
                          fmt::format("{:.2g} nats", one.most_difference),
                          one.same_bits ? "the same" : "differ"});
  }
  return table;
}

TextTable profile_facts(const LatencyProfile& profile, const std::string& file) {
  TextTable table{.header = {"profile", file}, .rows = {}};
  const auto add = [&table](const char* name, const std::string& value) {
    table.rows.push_back({name, value});
  };
  add("model", profile.model);
  add("scales", profile.scales.empty() ? "made up" : profile.scales);
  add("backend", profile.backend);
  add("FP8 products", profile.native_fp8 ? "on FP8 tensor cores" : "as the same numbers in BF16");
  add("ranks", fmt::to_string(profile.places.size()));
  for (std::size_t i = 0; i < std::min<std::size_t>(profile.places.size(), 8); ++i) {
    table.rows.push_back({fmt::format("rank {}", i), profile.places[i]});
  }
  add("memory planned", format_byte_size(profile.planned_bytes));
  add("memory used", format_byte_size(profile.peak_bytes));
  add("version", profile.version);
  add("measured", profile.time);
  add("command line", profile.command_line);
  return table;
}

}  // namespace fp8cal
