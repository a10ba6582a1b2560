#pragma once

#include <utility>

#include "kernels/matrix.hpp"
#include "sharding/weight_shards.hpp"

namespace fp8cal {

/// A shard of a weight, and where in device memory it goes.
struct ShardTarget {
  WeightShard shard;
  Matrix into;  // [shard.rows.count, shard.cols()] of shard.dtype, dense
};

/// The target of `shard` that begins at `memory`.
inline ShardTarget shard_at(void* memory, WeightShard shard) {
  const Matrix into = Matrix::dense(memory, shard.dtype, shard.rows.count, shard.cols());
  return {std::move(shard), into};
}

}  // namespace fp8cal
