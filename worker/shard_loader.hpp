#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "jobs/checkpoint.hpp"
#include "jobs/weights_digest.hpp"
#include "kernels/backend.hpp"
#include "kernels/cpu/thread_pool.hpp"
#include "sharding/plan.hpp"

namespace fp8cal {

/// Reads the shards of one rank into device memory, and hashes its part of them on the way.
class ShardLoader {
 public:
  /// threads: that read and hash.
  ShardLoader(const Checkpoint& checkpoint, Backend& backend, const Plan& plan,
              const RankPlan& rank, int threads);

  /// into [shard.rows.count, shard.cols()] bf16, dense. Returns the amax of each row. Throws
  /// InputError where the tensor is not as the config says, or holds an infinity or NaN.
  std::vector<float> load(const WeightShard& shard, Matrix into);

  /// Hashes so far. Ranks that load the same rows hash disjoint parts of them; together all ranks
  /// hash every tensor once.
  const WeightLeaves& leaves() const { return leaves_; }

 private:
  /// Reads rows [first_row, first_row + rows) of the tensor into `staged`, and hashes them.
  void read(const WeightShard& shard, std::size_t first_row, std::size_t rows,
            std::span<std::uint16_t> staged);
  bool hashes(const WeightShard& shard, std::size_t leaf) const;

  const Checkpoint& checkpoint_;
  Backend& backend_;
  int shares_;
  RankPlan rank_;
  ThreadPool pool_;
  WeightLeaves leaves_;
};

}  // namespace fp8cal
