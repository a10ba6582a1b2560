#include "coordinator/report/latency_csv.hpp"

#include <fmt/format.h>

#include "coordinator/report/total_times.hpp"

namespace fp8cal {
namespace {

using Row = std::vector<std::string>;

Row row_of(const std::string& file, const PassKey& key) {
  return {file,   key.decodes ? "decode" : "prefill", key.variant,
          key.kv, fmt::to_string(key.sequences),      fmt::to_string(key.tokens)};
}

Row joined(Row row, const Row& more) {
  row.insert(row.end(), more.begin(), more.end());
  return row;
}

void add_ceilings(TextTable& table, const std::string& file, const LatencyProfile& profile) {
  const Ceilings& ceilings = profile.ceilings;
  const auto add = [&](const char* name, double value, const char* units) {
    table.rows.push_back({file, name, fmt::to_string(value), units});
  };
  add("reading device memory", ceilings.bytes_per_s, "bytes/s");
  add("products in BF16", ceilings.bf16_flop_per_s, "flop/s");
  add("products in FP8", ceilings.fp8_flop_per_s, "flop/s");
  add("gathered by a rank", ceilings.gather_bytes_per_s, "bytes/s");
}

void add_passes(TextTable& table, const std::string& file, const LatencyProfile& profile) {
  for (const ProfiledPass& pass : profile.passes) {
    table.rows.push_back(joined(row_of(file, pass.key), {fmt::to_string(pass.latency.median),
                                                         fmt::to_string(pass.latency.p95),
                                                         fmt::to_string(pass.latency.runs)}));
  }
}

void add_causes(TextTable& table, const std::string& file, const LatencyProfile& profile) {
  for (const ProfiledPass& pass : profile.passes) {
    for (std::size_t i = 0; i < kCauses; ++i) {
      const CauseTime& cause = pass.causes[i];
      const std::optional<double> share = share_of_ceiling(profile, pass, Cause(i));
      table.rows.push_back(
          joined(row_of(file, pass.key),
                 {cause_name(Cause(i)), fmt::to_string(cause.calls), fmt::to_string(cause.seconds),
                  fmt::to_string(cause.flop), fmt::to_string(cause.bytes),
                  share ? fmt::to_string(*share) : ""}));
    }
  }
}

void add_totals(TextTable& table, const std::string& file, const LatencyProfile& profile) {
  for (const TotalTimes& times : total_times(profile)) {
    const TotalTime* reference = times.reference();
    for (const TotalTime& line : times.lines) {
      const auto tokens = reference == nullptr ? std::nullopt : crossing(line, *reference);
      table.rows.push_back({file, line.variant, line.kv, fmt::to_string(times.prompt),
                            fmt::to_string(times.context), fmt::to_string(times.sequences),
                            fmt::to_string(line.first), fmt::to_string(line.each),
                            tokens ? fmt::to_string(*tokens) : ""});
    }
  }
}

void add_unfit(TextTable& table, const std::string& file, const LatencyProfile& profile) {
  for (const UnfitPass& pass : profile.unfit) {
    table.rows.push_back(joined(row_of(file, pass.key), {fmt::to_string(pass.needed_bytes),
                                                         fmt::to_string(pass.budget_bytes)}));
  }
}

void add_checks(TextTable& table, const std::string& file, const LatencyProfile& profile) {
  for (const DecodeCheck& one : profile.checks) {
    table.rows.push_back({file, one.variant, one.kv, fmt::to_string(one.tokens),
                          fmt::to_string(one.mean_difference), fmt::to_string(one.most_difference),
                          one.same_bits ? "1" : "0"});
  }
}

struct TableMaker {
  const char* name;
  Row header;
  void (*add)(TextTable& table, const std::string& file, const LatencyProfile& profile);
};

const std::vector<TableMaker>& table_makers() {
  static const Row kKey = {"result", "phase", "variant", "kv", "sequences", "tokens"};
  static const std::vector<TableMaker> all = {
      {"latency_ceilings", {"result", "ceiling", "value", "units"}, add_ceilings},
      {"latency", joined(kKey, {"median_s", "p95_s", "runs"}), add_passes},
      {"latency_causes",
       joined(kKey, {"cause", "calls", "seconds", "flop", "bytes", "share_of_ceiling"}),
       add_causes},
      {"latency_totals",
       {"result", "variant", "kv", "prompt", "context", "sequences", "first_token_s",
        "output_token_s", "crosses_bf16_at"},
       add_totals},
      {"latency_unfit", joined(kKey, {"needed_bytes", "budget_bytes"}), add_unfit},
      {"latency_checks",
       {"result", "variant", "kv", "tokens", "mean_difference", "most_difference", "same_bits"},
       add_checks}};
  return all;
}

}  // namespace

std::vector<FigureTable> latency_csv(const std::vector<NamedLatency>& profiles) {
  std::vector<FigureTable> tables;
  for (const TableMaker& maker : table_makers()) {
    FigureTable& one = tables.emplace_back(FigureTable{maker.name, {maker.header, {}}});
    for (const auto& [file, figures] : profiles) maker.add(one.table, file, figures->profile);
  }
  return tables;
}

}  // namespace fp8cal
