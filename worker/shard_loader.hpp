#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "jobs/checkpoint.hpp"
#include "jobs/weights_digest.hpp"
#include "kernels/backend.hpp"
#include "kernels/cpu/thread_pool.hpp"
#include "sharding/plan.hpp"
#include "worker/shard_target.hpp"
#include "worker/staging_slots.hpp"

namespace fp8cal {

/// Throws InputError where the checkpoint has not this tensor in its shape, of a type that can be
/// read as shard.dtype.
void expect_shard(const Checkpoint& checkpoint, const WeightShard& shard);

/// Reads rows, of the whole tensor, of one that expect_shard accepts. into: rows.count *
/// shard.cols() elements of shard.dtype, aligned to them. Throws Error where that fails, InputError
/// where an FP8 code is a NaN.
void read_shard_rows(const Checkpoint& checkpoint, const WeightShard& shard, Range rows,
                     std::span<std::byte> into);

/// Loads the shards of one rank into device memory in the background, and hashes its part of them
/// on the way. Its threads take blocks of rows in turn: read one into a slot, hash it there, begin
/// to copy it, and go on to the next while it is copied. To be called by the backend's thread.
class ShardLoader {
 public:
  /// config: of the checkpoint. threads: that read and hash.
  ShardLoader(const Checkpoint& checkpoint, Backend& backend, const ModelConfig& config,
              const Plan& plan, const RankPlan& rank, int threads);
  /// Stops after the blocks at hand.
  ~ShardLoader();

  /// Begins to load `shards` in this order, after those of the call before. Their memory must stay
  /// until they have arrived or this object is gone. Throws InputError where a tensor is not as the
  /// config says.
  void begin(const std::vector<ShardTarget>& shards);

  /// Returns when the first `count` of the shards begun last have arrived. Throws what reading
  /// threw; then nothing is on its way any more.
  void wait(std::size_t count);

  /// Hashes of what was waited for. Ranks that load the same rows hash disjoint parts of them;
  /// together all ranks hash every tensor once.
  const WeightLeaves& leaves() const { return leaves_; }

 private:
  struct Loading {
    ShardTarget target;
    std::vector<Sha256Digest> digests;  // one a leaf, set where this rank hashes it
    std::size_t blocks_left = 0;        // whose copies have not begun
  };
  struct Block {
    std::size_t shard = 0;  // of loading_
    Range rows;             // of the shard
  };

  void add(const ShardTarget& target);
  void run() noexcept;
  void load(const Block& block);
  [[noreturn]] void abandon();
  void keep_leaves(const Loading& one);
  bool hashes(const WeightShard& shard, std::size_t leaf) const;

  const Checkpoint& checkpoint_;
  Backend& backend_;
  std::size_t shares_;
  RankPlan rank_;
  StagingSlots slots_;
  ThreadPool pool_;
  std::vector<Loading> loading_;
  std::vector<Block> blocks_;
  std::size_t arrived_ = 0;  // how many of loading_ were waited for
  WeightLeaves leaves_;

  std::mutex mutex_;  // for blocks_left and failure_
  std::condition_variable changed_;
  std::exception_ptr failure_;
  std::atomic<bool> stopping_ = false;
  std::thread background_;
};

}  // namespace fp8cal
