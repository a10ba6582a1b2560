#include "coordinator/checkpoint/synthetic_checkpoint.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstring>

#include "jobs/atomic_file.hpp"
#include "jobs/checkpoint_layout.hpp"
#include "jobs/error.hpp"
#include "jobs/file.hpp"
#include "jobs/model_config.hpp"
#include "jobs/sha256.hpp"
#include "kernels/cpu/thread_pool.hpp"
#include "kernels/float_formats.hpp"
#include "sharding/agreement.hpp"
#include "sharding/weight_shards.hpp"

namespace fp8cal {
namespace {

constexpr std::size_t kBlock = std::size_t{1} << 20;  // elements that are made and written at once
constexpr std::uint64_t kMaxConfigBytes = 1 << 20;
constexpr double kDeviation = 0.02;
constexpr float kOutlier = 32.0f;
constexpr std::size_t kChannelsPerOutlier = 1024;

/// SplitMix64 (Steele, Lea, Flood 2014): word `counter` of the stream `key`.
std::uint64_t random_word(std::uint64_t key, std::uint64_t counter) {
  std::uint64_t z = key + (counter + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

/// A stream of its own for each tensor.
std::uint64_t stream_of(std::uint64_t seed, const std::string& name) {
  const std::string text = fmt::format("{} {}", seed, name);
  const Sha256Digest digest = sha256(std::as_bytes(std::span(text)));
  std::uint64_t key = 0;
  std::memcpy(&key, digest.data(), sizeof key);
  return key;
}

/// The sum of four random bytes is near enough to normal: BF16 values of mean 0 by that sum.
class NearNormal {
 public:
  explicit NearNormal(double deviation) {
    const double unit = std::sqrt(4.0 * (256.0 * 256.0 - 1.0) / 12.0);
    for (std::size_t sum = 0; sum < table_.size(); ++sum) {
      const double centred = static_cast<double>(sum) - 510.0;
      table_[sum] = float_to_bf16(static_cast<float>(centred / unit * deviation));
    }
  }

  /// Elements [first, first + out.size()) of the stream; first is even.
  void fill(std::uint64_t key, std::uint64_t first, std::span<std::uint16_t> out) const {
    for (std::size_t i = 0; i < out.size(); i += 2) {
      const std::uint64_t word = random_word(key, (first + i) / 2);
      // Neighbouring bytes add up in 16-bit lanes, then neighbouring lanes.
      const std::uint64_t pairs = (word & 0x00FF00FF00FF00FFu) + (word >> 8 & 0x00FF00FF00FF00FFu);
      const std::uint64_t sums =
          (pairs & 0x0000FFFF0000FFFFu) + (pairs >> 16 & 0x0000FFFF0000FFFFu);
      out[i] = table_[sums & 0xFFFFu];
      if (i + 1 < out.size()) out[i + 1] = table_[sums >> 32];
    }
  }

 private:
  std::array<std::uint16_t, 1021> table_;
};

std::vector<std::uint16_t> norm_weights(std::uint64_t key, std::size_t size) {
  std::vector<std::uint16_t> weights(size, float_to_bf16(1.0f));
  for (std::size_t i = 0; i <= size / kChannelsPerOutlier; ++i) {
    weights[random_word(key, i) % size] = float_to_bf16(kOutlier);
  }
  return weights;
}

/// Less where it feeds the residual sum, so that the sum stays of one size over the layers.
double deviation_of(const std::string& name, const ModelConfig& config) {
  const bool residual = name.find("o_proj") != name.npos || name.find("down_proj") != name.npos;
  const double layers = static_cast<double>(config.num_hidden_layers);
  return residual ? kDeviation / std::sqrt(2.0 * layers) : kDeviation;
}

/// The tensors that share a file: the embeddings, each layer, then the final norm and the head.
std::vector<std::vector<WeightShard>> groups_of(const ModelConfig& config) {
  std::vector<std::vector<WeightShard>> groups = {{embedding_shard(config, 1, 0)}};
  for (std::size_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    groups.push_back(layer_shards(config, layer, 1, 0));
  }
  groups.push_back({final_norm_shard(config)});
  if (!config.tie_word_embeddings) groups.back().push_back(head_shard(config, 1, 0));
  return groups;
}

/// One file a group.
std::vector<CheckpointFile> files_of(const std::vector<std::vector<WeightShard>>& groups) {
  std::vector<std::vector<TensorLayout>> layouts;
  for (const std::vector<WeightShard>& group : groups) {
    std::vector<TensorLayout>& layout = layouts.emplace_back();
    for (const WeightShard& tensor : group) {
      layout.push_back(tensor_layout(tensor.name, "BF16", tensor.shape));
    }
  }
  return lay_out_checkpoint(layouts, 0);
}

void write_tensor(SafetensorsWriter& file, const WeightShard& tensor, const ModelConfig& config,
                  std::uint64_t seed, ThreadPool& pool) {
  const std::uint64_t key = stream_of(seed, tensor.name);
  if (!tensor.is_matrix()) {
    const std::vector<std::uint16_t> weights = norm_weights(key, tensor.cols());
    file.write(tensor.name, 0, std::as_bytes(std::span(weights)));
    return;
  }
  const NearNormal values(deviation_of(tensor.name, config));
  const std::size_t elements = tensor.bytes() / sizeof(std::uint16_t);
  const std::size_t blocks = (elements + kBlock - 1) / kBlock;
  pool.parallel_for(blocks, kBlock, [&](std::size_t block) {
    const std::size_t first = block * kBlock;
    std::vector<std::uint16_t> made(std::min(kBlock, elements - first));
    values.fill(key, first, made);
    file.write(tensor.name, first * sizeof(std::uint16_t), std::as_bytes(std::span(made)));
  });
}

void make_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw system_error(folder.string(), "make the folder", error.value());
  if (!std::filesystem::is_empty(folder, error)) {
    throw InputError(folder.string(), "folder for a new checkpoint", "an empty or new one",
                     "files in it");
  }
}

}  // namespace

void write_synthetic_checkpoint(const SyntheticCheckpoint& request, int threads,
                                const Control& control, ProgressListener& progress) {
  ModelConfig config;
  std::vector<std::vector<WeightShard>> groups;
  std::vector<CheckpointFile> files;
  run_agreed(control, [&] {
    config = read_model_config_file(request.config);
    groups = groups_of(config);
    files = files_of(groups);
    if (control.rank() == 0) make_folder(request.folder);
  });
  run_agreed(control, [&] {
    ThreadPool pool(threads);
    const std::size_t ranks = static_cast<std::size_t>(control.size());
    progress.begin("write checkpoint", "files", files.size(), 0);
    std::size_t told = 0;
    for (std::size_t i = static_cast<std::size_t>(control.rank()); i < files.size(); i += ranks) {
      SafetensorsWriter file(request.folder / files[i].name, files[i].tensors);
      for (const WeightShard& tensor : groups[i]) {
        write_tensor(file, tensor, config, request.seed, pool);
      }
      file.commit();
      const std::size_t reached = std::min(files.size(), i + ranks);
      progress.advance(reached - told);
      told = reached;
    }
    progress.end();
  });
  run_agreed(control, [&] {
    if (control.rank() != 0) return;
    const std::string copied = read_text_file(request.config, kMaxConfigBytes);
    const std::string index = index_text(files);
    write_atomically(request.folder / "config.json", std::as_bytes(std::span(copied)));
    write_atomically(request.folder / kIndexName, std::as_bytes(std::span(index)));
  });
}

}  // namespace fp8cal
