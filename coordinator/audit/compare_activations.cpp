#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>

#include "coordinator/audit/compare_parts.hpp"
#include "coordinator/audit/flow_order.hpp"

namespace fp8cal {
namespace {

/// Half of the counts that one histogram has more or fewer of than the other, bin by bin: with as
/// many elements in both, how many changed their magnitude.
double counts_moved(const std::vector<std::uint64_t>& a, const std::vector<std::uint64_t>& b) {
  std::uint64_t distance = 0;  // below 2^63: counts are at most 2^47
  for (std::size_t bin = 0; bin < a.size(); ++bin) {
    distance += a[bin] > b[bin] ? a[bin] - b[bin] : b[bin] - a[bin];
  }
  return static_cast<double>(distance) / 2;
}

void compare_histograms(const std::string& object, const ActivationStatistics& a,
                        const ActivationStatistics& b, DifferenceLedger& ledger) {
  ledger.count(Kind::histograms);
  const auto bin = std::ranges::mismatch(a.histogram, b.histogram);
  if (bin.in1 == a.histogram.end()) return;
  const auto elements = std::reduce(a.histogram.begin(), a.histogram.end());
  ledger.add(Kind::histograms,
             {.object = object,
              .at = fmt::format("bin {}", bin.in1 - a.histogram.begin()),
              .a = fmt::to_string(*bin.in1),
              .b = fmt::to_string(*bin.in2),
              .size = counts_moved(a.histogram, b.histogram),
              .of = fmt::to_string(elements)},
             ledger.tolerances().exact());
}

void compare_snapshots(const std::string& object, const ActivationStatistics& a,
                       const ActivationStatistics& b, DifferenceLedger& ledger) {
  const auto split = [](const ActivationStatistics& tensor) {
    std::pair<std::vector<std::uint32_t>, std::vector<float>> columns;
    for (const AmaxSnapshot& one : tensor.snapshots) {
      columns.first.push_back(one.sequences);
      columns.second.push_back(one.amax);
    }
    return columns;
  };
  const auto [sequences_a, amax_a] = split(a);
  const auto [sequences_b, amax_b] = split(b);
  if (sequences_a != sequences_b) {
    ledger.count(Kind::amax);
    ledger.add(Kind::amax,
               {.object = object + "_sequences",
                .at = "",
                .a = fmt::format("{}", fmt::join(sequences_a, ", ")),
                .b = fmt::format("{}", fmt::join(sequences_b, ", ")),
                .size = std::numeric_limits<double>::infinity()},
               true);
    return;
  }
  ledger.compare_floats(Kind::amax, object, "snapshot", amax_a, amax_b);
}

void compare_tensor(const std::string& object, const ActivationStatistics& a,
                    const ActivationStatistics& b, DifferenceLedger& ledger) {
  compare_histograms(object + "/histogram", a, b, ledger);
  const float amax_a = amax_of_histogram(a.histogram);
  const float amax_b = amax_of_histogram(b.histogram);
  ledger.compare_floats(Kind::amax, object + "/amax", "", {&amax_a, 1}, {&amax_b, 1});
  ledger.compare_floats(Kind::channel_amax, object + "/channel_amax", "channel", a.channel_amax,
                        b.channel_amax);
  compare_snapshots(object + "/amax_after", a, b, ledger);
}

void compare_aliases(const Result& a, const Result& b, DifferenceLedger& ledger) {
  std::map<std::string, std::string> names = a.activation_aliases;
  names.insert(b.activation_aliases.begin(), b.activation_aliases.end());
  for (const auto& [alias, name] : names) {
    const auto in_a = a.activation_aliases.find(alias);
    const auto in_b = b.activation_aliases.find(alias);
    const bool is_in_a = in_a != a.activation_aliases.end();
    const bool is_in_b = in_b != b.activation_aliases.end();
    if (is_in_a && is_in_b && in_a->second == in_b->second) continue;
    // Where it is a distribution of its own in one file, that is told as one.
    if (is_in_a != is_in_b && (is_in_a ? b : a).activations.contains(alias)) continue;
    if (is_in_a != is_in_b) {
      ledger.add_missing(Kind::histograms, "/activations/" + alias, is_in_a);
      continue;
    }
    ledger.add(Kind::histograms,
               {.object = "/activations/" + alias,
                .at = "link",
                .a = in_a->second,
                .b = in_b->second,
                .size = std::numeric_limits<double>::infinity()},
               true);
  }
}

}  // namespace

void compare_activations(const Result& a, const Result& b, DifferenceLedger& ledger) {
  std::set<ModuleOrder> modules;
  for (const Result* side : {&a, &b}) {
    for (const auto& [module, one] : side->activations) modules.insert(module_order(module));
  }
  for (const ModuleOrder& module : modules) {
    const std::string object = "/activations/" + module.name;
    const auto in_a = a.activations.find(module.name);
    const auto in_b = b.activations.find(module.name);
    if (in_a == a.activations.end() || in_b == b.activations.end()) {
      ledger.add_missing(Kind::histograms, object, in_a != a.activations.end());
    } else {
      compare_tensor(object, in_a->second, in_b->second, ledger);
    }
  }
  compare_aliases(a, b, ledger);
}

}  // namespace fp8cal
