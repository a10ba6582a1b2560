#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "gpu_test.hpp"
#include "jobs/safetensors_writer.hpp"
#include "worker/layer_weights.hpp"
#include "worker/shard_loader.hpp"

namespace fp8cal {
namespace {

namespace fs = std::filesystem;

const fs::path kMemory = "/dev/shm";
constexpr std::size_t kLayers = 9;  // of Llama 3.1 8B: 3.9 GB

ModelConfig config_8b() {
  ModelConfig config;
  config.hidden_size = 4096;
  config.intermediate_size = 14336;
  config.num_hidden_layers = kLayers;
  config.num_attention_heads = 32;
  config.num_key_value_heads = 8;
  config.head_dim = 128;
  return config;
}

/// A checkpoint of some layers in memory, gone at the end.
class CheckpointInMemory {
 public:
  explicit CheckpointInMemory(const ModelConfig& config)
      : folder_(kMemory / ("fp8cal-speed-" + std::to_string(getpid()))) {
    fs::create_directory(folder_);
    std::vector<TensorLayout> tensors;
    for (std::size_t layer = 0; layer < config.num_hidden_layers; ++layer) {
      for (const WeightShard& shard : layer_shards(config, layer, 1, 0)) {
        tensors.push_back({shard.name, "BF16", shard.shape, shard.bytes()});
      }
    }
    std::ofstream file(folder_ / "model.safetensors", std::ios::binary);
    file << safetensors_prefix(tensors);
    const TestMatrix values = random_bf16(1, std::size_t{4} << 20, 1);
    for (const TensorLayout& tensor : tensors) {
      for (std::uint64_t at = 0; at < tensor.bytes; at += std::uint64_t{8} << 20) {
        file.write(
            static_cast<const char*>(values.view().data),
            static_cast<std::streamsize>(std::min(std::uint64_t{8} << 20, tensor.bytes - at)));
      }
    }
    file.flush();
    if (!file) throw std::runtime_error("cannot write " + folder_.string());
  }
  CheckpointInMemory(const CheckpointInMemory&) = delete;
  CheckpointInMemory& operator=(const CheckpointInMemory&) = delete;
  ~CheckpointInMemory() {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  Checkpoint open() const { return Checkpoint::open(folder_); }

 private:
  fs::path folder_;
};

/// From files in memory to measured layers on the device, with a few numbers of threads.
TEST(ShardLoaderSpeed, LayersOfLlama8B) {
  FP8CAL_GPU_OR_SKIP();
  std::error_code none;
  const fs::space_info space = fs::space(kMemory, none);
  if (none || space.available < std::uint64_t{5} << 30) GTEST_SKIP() << "no room in /dev/shm";
  const ModelConfig config = config_8b();
  const CheckpointInMemory memory(config);
  const Checkpoint checkpoint = memory.open();
  const auto backend = make_backend({"cuda", 1});
  Plan plan;
  const RankPlan rank{};
  std::optional<WeightLeaves> expected;
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  for (const int threads : {1, 4, cores, cores}) {
    auto last = std::chrono::steady_clock::now();
    const auto lap = [&] {
      const auto before = std::exchange(last, std::chrono::steady_clock::now());
      return std::chrono::duration<double>(last - before).count();
    };
    ShardLoader loader(checkpoint, *backend, config, plan, rank, threads);
    const double making = lap();
    std::vector<std::unique_ptr<LayerWeights>> layers;
    std::vector<ShardTarget> targets;
    double bytes = 0;
    for (std::size_t layer = 0; layer < kLayers; ++layer) {
      layers.push_back(std::make_unique<LayerWeights>(*backend, config, layer, 1, 0));
      for (const ShardTarget& target : layers.back()->targets()) {
        targets.push_back(target);
        bytes += static_cast<double>(target.shard.bytes());
      }
    }
    loader.begin(targets);
    const double allocating = lap();
    double measuring = 0, loading = 0;
    for (std::size_t layer = 0; layer < kLayers; ++layer) {
      loader.wait(9 * (layer + 1));
      loading += lap();
      layers[layer]->measure(*backend);
      measuring += lap();
    }
    std::printf(
        "  %2d threads: slots %.0f ms, allocation %.0f ms, loading %.0f ms, row maxima %.0f "
        "ms: %.2f GB/s\n",
        threads, making * 1e3, allocating * 1e3, loading * 1e3, measuring * 1e3,
        bytes / (making + allocating + loading + measuring) / 1e9);
    if (!expected) expected = loader.leaves();
    EXPECT_EQ(weights_digest(loader.leaves()), weights_digest(*expected));
    // The last row of the last tensor, as it lies in the file.
    const ShardTarget& down = targets.back();
    std::vector<std::uint16_t> there(down.shard.cols()), here(down.shard.cols());
    backend->download(there.data(), down.into.row_range(4095, 1).data, 2 * there.size());
    checkpoint.read_rows(down.shard.name, 4095, 1, here);
    EXPECT_EQ(there, here);
  }
}

}  // namespace
}  // namespace fp8cal
