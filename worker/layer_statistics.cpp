#include "worker/layer_statistics.hpp"

#include <cstring>

namespace fp8cal {
namespace {

template <class T>
void put(std::string& bytes, const std::vector<T>& values) {
  const std::uint64_t count = values.size();
  bytes.append(reinterpret_cast<const char*>(&count), sizeof count);
  bytes.append(reinterpret_cast<const char*>(values.data()), count * sizeof(T));
}

template <class T>
void take(const std::string& bytes, std::size_t& at, std::vector<T>& values) {
  std::uint64_t count = 0;
  std::memcpy(&count, bytes.data() + at, sizeof count);
  at += sizeof count;
  values.resize(count);
  std::memcpy(values.data(), bytes.data() + at, count * sizeof(T));
  at += count * sizeof(T);
}

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

std::string pack_statistics(const LayerStatistics& statistics) {
  std::string bytes;
  put(bytes, std::vector<std::uint64_t>{statistics.layer});
  for (const ActivationStatistics& one : statistics.activations) {
    put(bytes, one.histogram);
    put(bytes, one.channel_amax);
    put(bytes, one.sequence_amax);
  }
  for (const WeightStatistics& one : statistics.weights) put(bytes, one.channel_amax);
  return bytes;
}

LayerStatistics unpack_statistics(const std::string& bytes, std::size_t& at) {
  LayerStatistics statistics;
  std::vector<std::uint64_t> layer;
  take(bytes, at, layer);
  statistics.layer = layer.at(0);
  for (ActivationStatistics& one : statistics.activations) {
    take(bytes, at, one.histogram);
    take(bytes, at, one.channel_amax);
    take(bytes, at, one.sequence_amax);
  }
  for (WeightStatistics& one : statistics.weights) take(bytes, at, one.channel_amax);
  return statistics;
}

}  // namespace fp8cal
