#include "coordinator/audit/weights_check.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "jobs/error.hpp"
#include "jobs/weights_digest.hpp"
#include "kernels/cpu/thread_pool.hpp"
#include "sharding/agreement.hpp"
#include "sharding/vital_signs.hpp"
#include "sharding/weight_shards.hpp"
#include "worker/shard_loader.hpp"

namespace fp8cal {
namespace {

std::vector<WeightShard> whole_tensors(const ModelConfig& config) {
  std::vector<WeightShard> all = {embedding_shard(config, 1, 0), final_norm_shard(config)};
  if (!config.tie_word_embeddings) all.push_back(head_shard(config, 1, 0));
  for (std::size_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    for (WeightShard& shard : layer_shards(config, layer, 1, 0)) all.push_back(std::move(shard));
  }
  return all;
}

TensorLeaves hash_tensor(const Checkpoint& checkpoint, const WeightShard& shard, ThreadPool& pool) {
  const std::size_t count = (shard.rows.count + kDigestRows - 1) / kDigestRows;
  const std::size_t row_bytes = shard.cols() * size_of(shard.dtype);
  std::vector<Sha256Digest> leaves(count);
  constexpr std::size_t kNanosecondsALeaf = 100000;
  pool.parallel_for(count, kNanosecondsALeaf, [&](std::size_t leaf) {
    const std::size_t first = leaf * kDigestRows;
    const std::size_t rows = std::min(kDigestRows, shard.rows.count - first);
    std::vector<std::byte> bytes(rows * row_bytes);
    read_shard_rows(checkpoint, shard, {first, rows}, bytes);
    leaves[leaf] = sha256(bytes);
  });
  TensorLeaves tensor = {shard.shape, {}};
  for (std::size_t leaf = 0; leaf < count; ++leaf) tensor.leaves[leaf] = leaves[leaf];
  return tensor;
}

}  // namespace

std::string read_weights_digest(const Checkpoint& checkpoint, const ModelConfig& config,
                                int threads, const Control& control) {
  tell_stage("check weights");
  const std::vector<WeightShard> tensors = whole_tensors(config);
  WeightLeaves own;
  run_agreed(control, [&] {
    ThreadPool pool(threads);
    const auto ranks = static_cast<std::size_t>(control.size());
    for (auto t = static_cast<std::size_t>(control.rank()); t < tensors.size(); t += ranks) {
      expect_shard(checkpoint, tensors[t]);
      own[tensors[t].name] = hash_tensor(checkpoint, tensors[t], pool);
      tell_progress();
    }
  });
  WeightLeaves all;
  for (const std::string& part : control.gather(pack_leaves(own))) unpack_leaves(part, all);
  return control.rank() == 0 ? weights_digest(all) : "";
}

void expect_weights_digest(const std::string& expected, const std::string& model,
                           const Checkpoint& checkpoint, const ModelConfig& config, int threads,
                           const Control& control) {
  const std::string found = read_weights_digest(checkpoint, config, threads, control);
  run_agreed(control, [&] {
    if (control.rank() != 0 || found == expected) return;
    throw InputError(model, "weights digest: not the weights of the result", expected, found);
  });
}

}  // namespace fp8cal
