#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <set>

#include "jobs/attributes_to_take.hpp"
#include "jobs/profile_group.hpp"
#include "jobs/result_parts_support.hpp"

namespace fp8cal {
namespace {

constexpr std::size_t kMaxRows = std::size_t{1} << 12;  // variants x lengths x batches: hundreds
constexpr std::size_t kMostVariants = 32;  // BF16 and the recipes, without formats of KV: five
constexpr std::size_t kMaxRanks = std::size_t{1} << 16;
constexpr std::size_t kMaxTextBytes = std::size_t{1} << 16;      // a command line
constexpr std::size_t kMaxColumnBytes = std::size_t{1} << 24;    // 256 a name
constexpr std::uint64_t kMaxSequences = std::uint64_t{1} << 20;  // of a batch
constexpr std::uint64_t kMaxTokens = std::uint64_t{1} << 28;     // of a context
constexpr std::uint64_t kMaxCount = std::uint64_t{1} << 48;
constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 60;
constexpr double kMaxSeconds = 1e9;
constexpr double kMaxAmount = 1e30;  // bytes, operations, and of them a second

/// Throws where `holds` is not true of one of `values`, or of the number itself.
template <class T, class Holds>
T require_one(const BoundedGroup& group, const std::string& name, T value, const char* expected,
              Holds holds) {
  require_each(group, name, std::vector<T>{value}, expected, holds);
  return value;
}

bool is_amount(double value) { return value >= 0 && value <= kMaxAmount; }
bool is_time(double value) { return value > 0 && value <= kMaxSeconds; }
bool is_share_of_time(double value) { return value >= 0 && value <= kMaxSeconds; }

constexpr const char* kAmount = "finite, not negative and at most 1e30";

/// Columns of one table of /profile, each with as many rows as "variant".
class Table {
 public:
  Table(const BoundedGroup& profile, const char* name,
        std::initializer_list<std::string_view> columns)
      : group_(profile.group(name, columns.size())) {
    group_.require_only(columns);
    require_no_attributes(group_);
    const hdf5::Shape shape = group_.shape("variant", kMaxRows);
    if (shape.size() != 1) {
      throw InputError(group_.describe("variant"), "shape", "one dimension", "another");
    }
    rows_ = shape[0];
  }

  std::size_t rows() const { return rows_; }
  const BoundedGroup& group() const { return group_; }

  std::vector<std::string> texts(const char* name) const {
    std::vector<std::string> values = group_.strings(name, kMaxColumnBytes);
    if (values.size() == rows_) return values;
    throw InputError(group_.describe(name), "shape", fmt::format("[{}]", rows_),
                     fmt::format("[{}]", values.size()));
  }

  std::vector<std::string> names(const char* name) const {
    std::vector<std::string> values = texts(name);
    require_each(group_, name, values,
                 "a name of letters, digits, '_', '.' and '-', at most 256 bytes", is_plain_name);
    return values;
  }

  std::vector<std::string> choices(const char* name, std::initializer_list<std::string_view> known,
                                   const char* expected) const {
    std::vector<std::string> values = texts(name);
    require_each(group_, name, values, expected, [known](const std::string& value) {
      return std::ranges::find(known, value) != known.end();
    });
    return values;
  }

  /// From `least` to `most`.
  std::vector<std::uint64_t> counts(const char* name, const char* units, std::uint64_t least,
                                    std::uint64_t most) const {
    auto values = group_.numbers<std::uint64_t>(name, {rows_}, units);
    require_each(group_, name, values, fmt::format("{} to {}", least, most).c_str(),
                 [=](std::uint64_t value) { return value >= least && value <= most; });
    return values;
  }

  template <class Holds>
  std::vector<double> numbers(const char* name, const char* units, const char* expected,
                              Holds holds) const {
    auto values = group_.numbers<double>(name, {rows_}, units);
    require_each(group_, name, values, expected, holds);
    return values;
  }

 private:
  BoundedGroup group_;
  std::size_t rows_ = 0;
};

std::vector<std::string> read_kv(const Table& table) {
  return table.choices("kv", {"bf16", "e4m3", "e5m2"}, "bf16, e4m3 or e5m2");
}

std::vector<PassKey> read_keys(const Table& table) {
  const auto phases = table.choices("phase", {"prefill", "decode"}, "prefill or decode");
  const auto variants = table.names("variant");
  const auto kv = read_kv(table);
  const auto sequences = table.counts("sequences", "sequences", 1, kMaxSequences);
  const auto tokens = table.counts("tokens", "tokens", 1, kMaxTokens);
  std::vector<PassKey> keys;
  for (std::size_t i = 0; i < table.rows(); ++i) {
    const bool decodes = phases[i] == "decode";
    if (!decodes && sequences[i] != 1) {
      throw InputError(table.group().describe("sequences"), "value", "1 for prefill",
                       fmt::to_string(sequences[i]));
    }
    keys.push_back({decodes, variants[i], kv[i], sequences[i], tokens[i]});
  }
  return keys;
}

void read_causes(const BoundedGroup& profile, std::vector<ProfiledPass>& passes) {
  const BoundedGroup group = profile.group("causes", 5);
  group.require_only({"names", "calls", "seconds", "flop", "bytes"});
  require_no_attributes(group);
  const auto names = group.strings("names", kMaxTextBytes);
  for (std::size_t i = 0; i < std::max(names.size(), kCauses); ++i) {
    const std::string expected = i < kCauses ? cause_name(Cause(i)) : "no more names";
    const std::string found = i < names.size() ? "'" + names[i] + "'" : "none";
    if (found != "'" + expected + "'") {
      throw InputError(group.describe("names"), "cause", expected, found);
    }
  }
  const hdf5::Shape shape = {passes.size(), kCauses};
  const auto calls = group.numbers<std::uint64_t>("calls", shape, "calls");
  const auto seconds = group.numbers<double>("seconds", shape, "s");
  const auto flop = group.numbers<double>("flop", shape, "flop");
  const auto bytes = group.numbers<double>("bytes", shape, "bytes");
  require_each(group, "calls", calls, "at most 2^48",
               [](std::uint64_t value) { return value <= kMaxCount; });
  require_each(group, "seconds", seconds, "0 to 1e9", is_share_of_time);
  require_each(group, "flop", flop, kAmount, is_amount);
  require_each(group, "bytes", bytes, kAmount, is_amount);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    passes[i / kCauses].causes[i % kCauses] = {calls[i], seconds[i], flop[i], bytes[i]};
  }
}

std::vector<ProfiledPass> read_passes(const BoundedGroup& profile) {
  const Table table(profile, "passes",
                    {"phase", "variant", "kv", "sequences", "tokens", "median_s", "p95_s", "runs"});
  const std::vector<PassKey> keys = read_keys(table);
  const auto median = table.numbers("median_s", "s", "above 0 and at most 1e9", is_time);
  const auto p95 = table.numbers("p95_s", "s", "above 0 and at most 1e9", is_time);
  const auto runs = table.counts("runs", "runs", 1, kMaxCount);
  std::vector<ProfiledPass> passes;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    require_one(table.group(), "p95_s", p95[i], "not below the median",
                [&](double value) { return value >= median[i]; });
    passes.push_back({keys[i], {median[i], p95[i], runs[i]}, {}});
  }
  read_causes(profile, passes);
  return passes;
}

std::vector<UnfitPass> read_unfit(const BoundedGroup& profile) {
  const Table table(
      profile, "unfit",
      {"phase", "variant", "kv", "sequences", "tokens", "needed_bytes", "budget_bytes"});
  const std::vector<PassKey> keys = read_keys(table);
  const auto needed = table.counts("needed_bytes", "bytes", 0, kMaxBytes);
  const auto budget = table.counts("budget_bytes", "bytes", 0, kMaxBytes);
  std::vector<UnfitPass> unfit;
  for (std::size_t i = 0; i < keys.size(); ++i) unfit.push_back({keys[i], needed[i], budget[i]});
  return unfit;
}

std::vector<DecodeCheck> read_checks(const BoundedGroup& profile) {
  const Table table(profile, "checks",
                    {"variant", "kv", "tokens", "mean_difference", "most_difference", "same_bits"});
  const auto is_finite = [](double value) { return std::isfinite(value); };
  const auto variants = table.names("variant");
  const auto kv = read_kv(table);
  const auto tokens = table.counts("tokens", "tokens", 0, kMaxTokens);
  const auto mean = table.numbers("mean_difference", "nats", "finite", is_finite);
  const auto most = table.numbers("most_difference", "nats", kAmount, is_amount);
  const auto same = table.group().numbers<std::uint8_t>("same_bits", {table.rows()});
  require_each(table.group(), "same_bits", same, "0 or 1", [](auto value) { return value <= 1; });
  std::vector<DecodeCheck> checks;
  for (std::size_t i = 0; i < table.rows(); ++i) {
    checks.push_back({variants[i], kv[i], tokens[i], mean[i], most[i], same[i] == 1});
  }
  return checks;
}

void read_attributes(const BoundedGroup& group, LatencyProfile& profile) {
  AttributesToTake attributes(group);
  const auto text = [&](const char* name) {
    std::string value = attributes.take<std::string>(name);
    if (value.size() <= kMaxTextBytes) return value;
    throw InputError(group.describe(name), "size", fmt::format("at most {} bytes", kMaxTextBytes),
                     fmt::to_string(value.size()));
  };
  const auto count = [&](const char* name, std::uint64_t most) {
    const auto value = attributes.take<std::int64_t>(name);
    require_one(group, name, value, fmt::format("0 to {}", most).c_str(), [most](auto found) {
      return found >= 0 && static_cast<std::uint64_t>(found) <= most;
    });
    return static_cast<std::uint64_t>(value);
  };
  const auto amount = [&](const char* name) {
    return require_one(group, name, attributes.take<double>(name), kAmount, is_amount);
  };
  profile.version = text("version");
  profile.time = text("time");
  profile.command_line = text("command_line");
  profile.model = text("model");
  profile.scales = text("scales");
  profile.backend = text("backend");
  profile.native_fp8 = count("native_fp8", 1) == 1;
  profile.planned_bytes = count("planned_bytes", kMaxBytes);
  profile.peak_bytes = count("peak_bytes", kMaxBytes);
  profile.ceilings = {amount("bytes_per_s"), amount("bf16_flop_per_s"), amount("fp8_flop_per_s"),
                      amount("gather_bytes_per_s")};
  attributes.require_none_left();
}

/// Each pass once, and of few variants.
void require_table_of_passes(const BoundedGroup& group, const LatencyProfile& profile) {
  std::set<PassKey> seen;
  const auto add = [&](const char* table, const PassKey& key) {
    if (seen.insert(key).second) return;
    throw InputError(group.describe(table), "pass", "each once",
                     fmt::format("{} of {} with {} keys and values, {} x {} tokens, twice",
                                 key.decodes ? "decode" : "prefill", key.variant, key.kv,
                                 key.sequences, key.tokens));
  };
  for (const ProfiledPass& pass : profile.passes) add("passes", pass.key);
  for (const UnfitPass& pass : profile.unfit) add("unfit", pass.key);
  std::set<std::string> variants;
  for (const PassKey& key : seen) variants.insert(key.variant);
  if (variants.size() <= kMostVariants) return;
  throw InputError(group.describe("passes"), "variants", fmt::format("at most {}", kMostVariants),
                   fmt::to_string(variants.size()));
}

}  // namespace

LatencyProfile read_profile_group(const BoundedGroup& root) {
  const BoundedGroup group = root.group(kProfile, kMaxLinks);
  group.require_only({"places", "passes", "causes", "unfit", "checks"});
  LatencyProfile profile;
  read_attributes(group, profile);
  profile.places = group.strings("places", kMaxColumnBytes);
  if (profile.places.size() > kMaxRanks) {
    throw InputError(group.describe("places"), "size", fmt::format("at most {} ranks", kMaxRanks),
                     fmt::to_string(profile.places.size()));
  }
  profile.passes = read_passes(group);
  profile.unfit = read_unfit(group);
  profile.checks = read_checks(group);
  require_table_of_passes(group, profile);
  return profile;
}

}  // namespace fp8cal
