#include "worker/layer_statistics.hpp"

#include <fmt/format.h>

#include <cmath>

#include "jobs/error.hpp"

namespace fp8cal {
namespace {

struct NamedSite {
  Site site;
  const char* name;
};

constexpr NamedSite kComputedOrder[kSites] = {{Site::qkv_input, "input of self_attn.q_proj"},
                                              {Site::key, "self_attn.k"},
                                              {Site::value, "self_attn.v"},
                                              {Site::o_input, "input of self_attn.o_proj"},
                                              {Site::gate_up_input, "input of mlp.gate_proj"},
                                              {Site::down_input, "input of mlp.down_proj"}};

}  // namespace

Site input_site(LinearModule module) {
  switch (module) {
    case LinearModule::q:
    case LinearModule::k:
    case LinearModule::v:
      return Site::qkv_input;
    case LinearModule::o:
      return Site::o_input;
    case LinearModule::gate:
    case LinearModule::up:
      return Site::gate_up_input;
    case LinearModule::down:
      return Site::down_input;
  }
  return Site::qkv_input;
}

std::size_t channels_of(Site site, const ModelConfig& config) {
  switch (site) {
    case Site::qkv_input:
    case Site::gate_up_input:
      return config.hidden_size;
    case Site::o_input:
      return config.q_rows();
    case Site::down_input:
      return config.intermediate_size;
    case Site::key:
    case Site::value:
      return config.kv_rows();
  }
  return 0;
}

void check_finite(const LayerStatistics& statistics) {
  for (const NamedSite& tensor : kComputedOrder) {
    const std::vector<float>& amax =
        statistics.sequence_amax[static_cast<std::size_t>(tensor.site)];
    for (std::size_t s = 0; s < amax.size(); ++s) {
      if (std::isfinite(amax[s])) continue;
      throw Error(ExitCode::failed,
                  fmt::format("model.layers.{}: {}: calibration sequence {}: expected finite "
                              "activations, found {}",
                              statistics.layer, tensor.name, s, amax[s]));
    }
  }
}

namespace {

/// Most bins of a tensor are empty.
void pack_histogram(std::string& bytes, const std::vector<std::uint64_t>& histogram) {
  std::vector<std::uint16_t> bins;
  std::vector<std::uint64_t> counts;
  for (std::size_t bin = 0; bin < histogram.size(); ++bin) {
    if (histogram[bin] == 0) continue;
    bins.push_back(static_cast<std::uint16_t>(bin));
    counts.push_back(histogram[bin]);
  }
  pack(bytes, bins);
  pack(bytes, counts);
}

void take_histogram(Unpacker& from, std::vector<std::uint64_t>& histogram) {
  std::vector<std::uint16_t> bins;
  std::vector<std::uint64_t> counts;
  from.take(bins);
  from.take(counts);
  histogram.assign(kHistogramSize, 0);
  for (std::size_t i = 0; i < bins.size(); ++i) {
    if (bins[i] >= kHistogramSize || i >= counts.size()) {
      throw Error(ExitCode::failed, fmt::format("packed histogram: expected bins below {} with a "
                                                "count each, found bin {} and {} counts",
                                                kHistogramSize, bins[i], counts.size()));
    }
    histogram[bins[i]] = counts[i];
  }
}

}  // namespace

std::string pack_statistics(const LayerStatistics& statistics) {
  std::string bytes;
  pack(bytes, static_cast<std::uint64_t>(statistics.layer));
  for (const ActivationStatistics& one : statistics.activations) {
    pack_histogram(bytes, one.histogram);
    pack(bytes, one.channel_amax);
  }
  for (const std::vector<float>& one : statistics.sequence_amax) pack(bytes, one);
  for (const WeightStatistics& one : statistics.weights) pack(bytes, one.channel_amax);
  return bytes;
}

LayerStatistics unpack_statistics(Unpacker& from) {
  LayerStatistics statistics;
  std::uint64_t layer = 0;
  from.take(layer);
  statistics.layer = layer;
  for (ActivationStatistics& one : statistics.activations) {
    take_histogram(from, one.histogram);
    from.take(one.channel_amax);
  }
  for (std::size_t s = 0; s < kSites; ++s) {
    from.take(statistics.sequence_amax[s]);
    statistics.activations[s].snapshots = snapshots_of(statistics.sequence_amax[s]);
  }
  for (WeightStatistics& one : statistics.weights) from.take(one.channel_amax);
  return statistics;
}

}  // namespace fp8cal
