#pragma once

#include <vector>

#include "kernels/backend.hpp"
#include "sharding/decoder_memory.hpp"
#include "worker/layer_weights.hpp"

namespace fp8cal {

/// The keys and values that a rank keeps of every layer, in the columns of its own KV heads. All
/// are zero at first.
class KvCaches {
 public:
  /// bytes: of the keys, and of the values, of one layer. kv_cols: of this slice.
  KvCaches(Backend& backend, std::size_t layers, const DecoderShape& shape, std::uint64_t bytes,
           std::size_t kv_cols);

  /// Of the i-th layer. scales: for a cache in FP8.
  KvCache of(std::size_t i, const KvScales& scales) const;

 private:
  DecoderShape shape_;
  std::size_t kv_cols_;
  std::vector<Buffer> keys_, values_;  // [layers] of [sequences * capacity, kv_cols]
};

}  // namespace fp8cal
