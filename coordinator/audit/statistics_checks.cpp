#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "coordinator/audit/consistency.hpp"
#include "coordinator/result_builder.hpp"
#include "kernels/float_formats.hpp"
#include "worker/layer_statistics.hpp"

namespace fp8cal {
namespace {

/// In the order in which a layer computes them.
constexpr Site kComputedOrder[kSites] = {Site::qkv_input, Site::key,           Site::value,
                                         Site::o_input,   Site::gate_up_input, Site::down_input};

class StatisticsChecks {
 public:
  StatisticsChecks(const Result& result, const ModelConfig& shape, Findings& findings)
      : result_(result), shape_(shape), findings_(findings) {}

  void run() {
    const bool calibrated = is_calibrated(result_);
    const std::size_t layers = calibrated ? shape_.num_hidden_layers : 0;
    expect("/activations", "distributions", layers * kSites, result_.activations.size());
    expect("/weights", "weights", layers * kLinearModules, result_.weights.size());
    if (!findings_.empty() && findings_.count() != before_) return;
    for (std::size_t layer = 0; layer < layers; ++layer) {
      check_weights(layer);
      for (const Site site : kComputedOrder) check_site(layer, site);
    }
    check_aliases(layers);
  }

 private:
  template <class T, class U>
  bool expect(const std::string& object, const std::string& what, const T& expected,
              const U& found) {
    if (expected == found) return true;
    findings_.add({object, what, fmt::format("{}", expected), fmt::format("{}", found)});
    return false;
  }

  void check_weights(std::size_t layer) {
    for (const WeightShard& shard : layer_shards(shape_, layer, 1, 0)) {
      if (!shard.is_matrix()) continue;
      const std::string module = shard.name.substr(0, shard.name.rfind('.'));
      const auto found = result_.weights.find(module);
      if (found == result_.weights.end()) {
        findings_.add({"/weights/" + module, "object", "one", "none"});
      } else {
        expect("/weights/" + module + "/channel_amax", "rows", shard.total_rows(),
               found->second.channel_amax.size());
      }
    }
  }

  void check_site(std::size_t layer, Site site) {
    const std::string object = "/activations/" + site_module(layer, site);
    const auto found = result_.activations.find(site_module(layer, site));
    if (found == result_.activations.end()) {
      findings_.add({object, "object", "one", "none"});
      return;
    }
    const ActivationStatistics& tensor = found->second;
    const std::size_t channels = channels_of(site, shape_);
    const std::uint64_t elements = std::reduce(tensor.histogram.begin(), tensor.histogram.end());
    const std::size_t tokens = result_.calibration.tokens.size();
    if (elements != tokens * channels) {
      findings_.add(
          {object + "/histogram", "elements",
           fmt::format("{} ({} tokens x {} channels)", tokens * channels, tokens, channels),
           fmt::to_string(elements)});
    }
    check_channels(object + "/channel_amax", tensor, channels);
    check_snapshots(object, tensor);
  }

  void check_channels(const std::string& object, const ActivationStatistics& tensor,
                      std::size_t channels) {
    const std::vector<float>& amax = tensor.channel_amax;
    if (!expect(object, "channels", channels, amax.size()) || amax.empty()) return;
    expect(object, "largest", amax_of_histogram(tensor.histogram), *std::ranges::max_element(amax));
    for (std::size_t i = 0; i < amax.size(); ++i) {
      const bf16_bits bin = float_to_bf16(amax[i]);
      if (bf16_to_float(bin) == amax[i] && tensor.histogram[bin] != 0) continue;
      findings_.add({object, fmt::format("channel {}", i), "a magnitude that the histogram counts",
                     fmt::to_string(amax[i])});
      return;
    }
  }

  void check_snapshots(const std::string& object, const ActivationStatistics& tensor) {
    const std::vector<float> any(result_.sample_ids.size(), 0.0f);
    std::vector<std::uint32_t> expected;
    for (const AmaxSnapshot& one : snapshots_of(any)) expected.push_back(one.sequences);
    std::vector<std::uint32_t> found;
    for (const AmaxSnapshot& one : tensor.snapshots) found.push_back(one.sequences);
    if (!expect(object + "/amax_after_sequences", "sequences",
                fmt::format("{}", fmt::join(expected, ", ")),
                fmt::format("{}", fmt::join(found, ", ")))) {
      return;
    }
    const float all = amax_of_histogram(tensor.histogram);
    float before = 0;
    for (const AmaxSnapshot& one : tensor.snapshots) {
      const bool last = one.sequences == result_.sample_ids.size();
      const std::string at = fmt::format("after {} sequences", one.sequences);
      if (last) {
        expect(object + "/amax_after", at, all, one.amax);
      } else if (one.amax < before || one.amax > all) {
        findings_.add({object + "/amax_after", at, fmt::format("{} to {}", before, all),
                       fmt::to_string(one.amax)});
      }
      before = one.amax;
    }
  }

  void check_aliases(std::size_t layers) {
    std::map<std::string, std::string> expected;
    for (std::size_t layer = 0; layer < layers; ++layer) expected.merge(site_aliases(layer));
    for (const auto& [alias, name] : expected) {
      const auto found = result_.activation_aliases.find(alias);
      expect("/activations/" + alias, "link", name,
             found == result_.activation_aliases.end() ? "none" : found->second);
    }
    expect("/activations", "names", expected.size(), result_.activation_aliases.size());
  }

  const Result& result_;
  const ModelConfig& shape_;
  Findings& findings_;
  const std::size_t before_ = findings_.count();
};

}  // namespace

void check_statistics(const Result& result, const ModelConfig& shape, Findings& findings) {
  StatisticsChecks(result, shape, findings).run();
}

}  // namespace fp8cal
