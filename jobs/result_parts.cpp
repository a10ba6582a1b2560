#include "jobs/result_parts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "jobs/result_objects.hpp"
#include "jobs/result_parts_support.hpp"

namespace fp8cal {
namespace {

constexpr std::size_t kInfinityBin = 0x7F80;  // BF16: from here on infinity and NaN
// 70 times what 512 sequences of 128K tokens give 28,672 channels; all bins together stay below
// 2^63.
constexpr std::uint64_t kMaxCount = std::uint64_t{1} << 47;
constexpr std::size_t kMaxChannels = std::size_t{1} << 22;        // 32 vocabularies of Llama 3.1
constexpr std::size_t kMaxTokens = std::size_t{1} << 28;          // 1 GiB; WikiText-103 has 2^27
constexpr std::size_t kMaxSequenceLength = std::size_t{1} << 20;  // 8 contexts of Llama 3.1
constexpr std::size_t kMaxTimelineBytes = std::size_t{1} << 24;   // 20,000 lines of 800 bytes
constexpr std::size_t kMaxSnapshots = 64;                         // there are five

/// Of several names of one input, the one that the others are aliases of ends so.
constexpr std::array<std::string_view, 2> kInputOwners = {"q_proj", "gate_proj"};

std::vector<float> read_magnitudes(const BoundedGroup& group, const std::string& name,
                                   std::size_t max_elements) {
  std::vector<float> values = group.list<float>(name, max_elements);
  require_each(group, name, values, "finite and not negative",
               [](float value) { return std::isfinite(value) && value >= 0; });
  return values;
}

/// `amax` stands in the file for its other readers: it must be what the rest says.
void require_amax(const BoundedGroup& group, float expected) {
  require_each(group, "amax", group.numbers<float>("amax", {}), fmt::to_string(expected).c_str(),
               [expected](float found) {
                 return std::bit_cast<std::uint32_t>(found) ==
                        std::bit_cast<std::uint32_t>(expected);
               });
}

TokenWindows read_windows(const BoundedGroup& job, const std::string& name) {
  const hdf5::Shape shape = job.shape(name, kMaxTokens);
  if (shape.size() != 2 || shape[1] > kMaxSequenceLength || (shape[0] != 0 && shape[1] == 0)) {
    throw InputError(job.describe(name), "shape",
                     fmt::format("windows of at most {} tokens", kMaxSequenceLength), "another");
  }
  return {shape[1], job.numbers<std::uint32_t>(name, shape)};
}

std::vector<std::uint64_t> read_histogram(const BoundedGroup& group) {
  auto histogram = group.numbers<std::uint64_t>("histogram", {kHistogramSize}, "elements");
  require_each(group, "histogram", histogram, "at most 2^47 elements a bin",
               [](std::uint64_t count) { return count <= kMaxCount; });
  const std::vector<std::uint64_t> not_numbers(histogram.begin() + kInfinityBin, histogram.end());
  require_each(group, "histogram", not_numbers, "no infinity and no NaN",
               [](std::uint64_t count) { return count == 0; });
  return histogram;
}

std::vector<AmaxSnapshot> read_snapshots(const BoundedGroup& group) {
  const std::vector<float> amax = read_magnitudes(group, "amax_after", kMaxSnapshots);
  const auto sequences =
      group.numbers<std::uint32_t>("amax_after_sequences", {amax.size()}, "sequences");
  std::vector<AmaxSnapshot> snapshots;
  for (std::size_t i = 0; i < amax.size(); ++i) snapshots.push_back({sequences[i], amax[i]});
  return snapshots;
}

ActivationStatistics read_tensor(const BoundedGroup& group) {
  group.require_only({"histogram", "channel_amax", "amax", "amax_after", "amax_after_sequences"});
  require_no_attributes(group);
  ActivationStatistics statistics;
  statistics.histogram = read_histogram(group);
  statistics.channel_amax = read_magnitudes(group, "channel_amax", kMaxChannels);
  statistics.snapshots = read_snapshots(group);
  require_amax(group, amax_of_histogram(statistics.histogram));
  return statistics;
}

WeightStatistics read_weight(const BoundedGroup& group) {
  group.require_only({"amax", "channel_amax"});
  require_no_attributes(group);
  WeightStatistics statistics;
  statistics.channel_amax = read_magnitudes(group, "channel_amax", kMaxChannels);
  const auto largest = std::ranges::max_element(statistics.channel_amax);
  require_amax(group, largest == statistics.channel_amax.end() ? 0.0f : *largest);
  return statistics;
}

bool owns_input(const std::string& name) {
  return std::ranges::any_of(kInputOwners, [&](auto end) { return name.ends_with(end); });
}

/// target of a link -> the name that is the key of what it leads to
std::map<std::string, std::string> keys_of(const std::vector<hdf5::Link>& links) {
  std::map<std::string, std::string> keys;
  for (const hdf5::Link& link : links) {
    std::string& key = keys.try_emplace(link.target, link.name).first->second;
    if (owns_input(link.name) && !owns_input(key)) key = link.name;
  }
  return keys;
}

std::vector<float> read_scale(const BoundedGroup& group, const std::string& name) {
  if (!group.has(name)) return {};
  std::vector<float> values = group.list<float>(name, kMaxChannels);
  require_each(group, name, values, "finite and above 0",
               [](float value) { return std::isfinite(value) && value > 0; });
  if (values.empty()) throw InputError(group.describe(name), "size", "one scale or more", "none");
  return values;
}

ModuleScales read_module_scales(const BoundedGroup& group) {
  group.require_only({"weight_scale", "input_scale", "k_scale", "v_scale"});
  require_no_attributes(group);
  return {read_scale(group, "weight_scale"), read_scale(group, "input_scale"),
          read_scale(group, "k_scale"), read_scale(group, "v_scale")};
}

}  // namespace

void read_provenance(const BoundedGroup& root, Result& result) {
  if (!root.has("provenance")) return;
  const BoundedGroup provenance = root.group("provenance", kMaxLinks);
  provenance.require_only({kObjectNames, kObjectDigests, kTimeline});
  result.provenance = provenance.attributes();
  if (!provenance.has(kTimeline)) return;
  result.provenance[kTimeline] = provenance.strings(kTimeline, kMaxTimelineBytes);
}

void read_job(const BoundedGroup& root, Result& result) {
  const BoundedGroup job = root.group("job", kMaxLinks);
  job.require_only({"calibration_tokens", "evaluation_tokens", "sample_ids"});
  result.job = job.attributes();
  result.calibration = read_windows(job, "calibration_tokens");
  result.evaluation = read_windows(job, "evaluation_tokens");
  result.sample_ids = job.numbers<std::uint32_t>("sample_ids", {result.calibration.windows()});
}

void read_activations(const BoundedGroup& root, Result& result) {
  if (!root.has("activations")) return;
  const BoundedGroup activations = root.group("activations", kMaxModules);
  require_no_attributes(activations);
  const std::map<std::string, std::string> keys = keys_of(activations.links());
  for (const hdf5::Link& link : activations.links()) {
    const std::string& key = keys.at(link.target);
    if (link.name == key) {
      result.activations.emplace(key, read_tensor(activations.group(key, kMaxLinks)));
    } else {
      result.activation_aliases.emplace(link.name, key);
    }
  }
}

void read_weights(const BoundedGroup& root, Result& result) {
  if (!root.has("weights")) return;
  const auto read = [&result](const std::string& name, const BoundedGroup& group) {
    result.weights.emplace(name, read_weight(group));
  };
  for_each_group(root.group("weights", kMaxModules), kMaxLinks, read);
}

void read_scales(const BoundedGroup& root, Result& result) {
  if (!root.has("scales")) return;
  const auto read = [&result](const std::string& recipe, const BoundedGroup& group) {
    auto& modules = result.scales[recipe];
    for_each_group(group, kMaxLinks,
                   [&modules](const std::string& name, const BoundedGroup& module) {
                     modules.emplace(name, read_module_scales(module));
                   });
  };
  for_each_group(root.group("scales", kMaxVariants), kMaxModules, read);
}

}  // namespace fp8cal
