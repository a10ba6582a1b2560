#include <concepts>
#include <functional>
#include <string>
#include <vector>

#include "jobs/profile_group.hpp"

namespace fp8cal {
namespace {

using hdf5::Handle;

/// A group of columns, each with a value for each of `rows`.
template <class Row>
class Table {
 public:
  Table(const Handle& parent, const char* name, const std::vector<Row>& rows)
      : group_(hdf5::create_group(parent, name)), rows_(rows) {}

  /// value_of(row) is a string.
  template <class Get>
  void add(const char* name, Get value_of) {
    std::vector<std::string> values;
    for (const Row& row : rows_) values.emplace_back(std::invoke(value_of, row));
    hdf5::write_dataset(group_, name, values);
  }

  /// value_of(row), a number, as T.
  template <class T, class Get>
  void add_numbers(const char* name, const char* units, Get value_of) {
    std::vector<T> values;
    for (const Row& row : rows_) values.push_back(static_cast<T>(std::invoke(value_of, row)));
    const Handle dataset =
        hdf5::write_dataset(group_, name, {values.size()}, std::span<const T>(values));
    if (*units != '\0') hdf5::write_attribute(dataset, "units", units);
  }

 private:
  Handle group_;
  const std::vector<Row>& rows_;
};

/// Row: has a PassKey `key`.
template <class Row>
void add_keys(Table<Row>& table) {
  table.add("phase", [](const Row& row) { return row.key.decodes ? "decode" : "prefill"; });
  table.add("variant", [](const Row& row) { return row.key.variant; });
  table.add("kv", [](const Row& row) { return row.key.kv; });
  table.template add_numbers<std::uint64_t>("sequences", "sequences",
                                            [](const Row& row) { return row.key.sequences; });
  table.template add_numbers<std::uint64_t>("tokens", "tokens",
                                            [](const Row& row) { return row.key.tokens; });
}

void write_passes(const Handle& group, const LatencyProfile& profile) {
  Table table(group, "passes", profile.passes);
  add_keys(table);
  table.add_numbers<double>("median_s", "s", [](const auto& row) { return row.latency.median; });
  table.add_numbers<double>("p95_s", "s", [](const auto& row) { return row.latency.p95; });
  table.add_numbers<std::uint64_t>("runs", "runs",
                                   [](const auto& row) { return row.latency.runs; });
}

void write_causes(const Handle& parent, const LatencyProfile& profile) {
  const Handle group = hdf5::create_group(parent, "causes");
  std::vector<std::string> names;
  for (std::size_t i = 0; i < kCauses; ++i) names.emplace_back(cause_name(Cause(i)));
  hdf5::write_dataset(group, "names", names);
  const auto write = [&]<class T>(const char* name, const char* units, auto field, T) {
    std::vector<T> values;
    for (const ProfiledPass& pass : profile.passes) {
      for (const CauseTime& cause : pass.causes) values.push_back(T(std::invoke(field, cause)));
    }
    const Handle dataset = hdf5::write_dataset(group, name, {profile.passes.size(), kCauses},
                                               std::span<const T>(values));
    hdf5::write_attribute(dataset, "units", units);
  };
  write("calls", "calls", &CauseTime::calls, std::uint64_t{});
  write("seconds", "s", &CauseTime::seconds, double{});
  write("flop", "flop", &CauseTime::flop, double{});
  write("bytes", "bytes", &CauseTime::bytes, double{});
}

void write_unfit(const Handle& group, const LatencyProfile& profile) {
  Table table(group, "unfit", profile.unfit);
  add_keys(table);
  table.add_numbers<std::uint64_t>("needed_bytes", "bytes", &UnfitPass::needed_bytes);
  table.add_numbers<std::uint64_t>("budget_bytes", "bytes", &UnfitPass::budget_bytes);
}

void write_checks(const Handle& group, const LatencyProfile& profile) {
  Table table(group, "checks", profile.checks);
  table.add("variant", &DecodeCheck::variant);
  table.add("kv", &DecodeCheck::kv);
  table.add_numbers<std::uint64_t>("tokens", "tokens", &DecodeCheck::tokens);
  table.add_numbers<double>("mean_difference", "nats", &DecodeCheck::mean_difference);
  table.add_numbers<double>("most_difference", "nats", &DecodeCheck::most_difference);
  table.add_numbers<std::uint8_t>("same_bits", "", &DecodeCheck::same_bits);
}

void write_attributes(const Handle& group, const LatencyProfile& profile) {
  const auto write = [&group](const char* name, const auto& value) {
    hdf5::write_attribute(group, name, value);
  };
  write("version", profile.version);
  write("time", profile.time);
  write("command_line", profile.command_line);
  write("model", profile.model);
  write("scales", profile.scales);
  write("backend", profile.backend);
  write("native_fp8", std::int64_t{profile.native_fp8});
  write("planned_bytes", static_cast<std::int64_t>(profile.planned_bytes));
  write("peak_bytes", static_cast<std::int64_t>(profile.peak_bytes));
  write("bytes_per_s", profile.ceilings.bytes_per_s);
  write("bf16_flop_per_s", profile.ceilings.bf16_flop_per_s);
  write("fp8_flop_per_s", profile.ceilings.fp8_flop_per_s);
  write("gather_bytes_per_s", profile.ceilings.gather_bytes_per_s);
}

}  // namespace

void write_profile_group(const Handle& root, const LatencyProfile& profile) {
  const Handle group = hdf5::create_group(root, kProfile);
  write_attributes(group, profile);
  hdf5::write_dataset(group, "places", profile.places);
  write_passes(group, profile);
  write_causes(group, profile);
  write_unfit(group, profile);
  write_checks(group, profile);
}

}  // namespace fp8cal
