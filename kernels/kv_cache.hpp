#pragma once

#include <cstddef>

#include "kernels/matrix.hpp"
#include "kernels/scales.hpp"

namespace fp8cal {

/// Keys and values of earlier tokens in one layer, borrowed, in device memory. Sequence s has the
/// rows from s * capacity on, one a position.
struct KvCache {
  Matrix keys;    ///< [sequences * capacity, kv_heads * head_dim] bf16, e4m3 or e5m2, dense
  Matrix values;  ///< the same shape and dtype
  std::size_t capacity = 0;  ///< positions of a sequence
  /// For FP8: one for the tensor or one a KV head; a key is code * scale, and was quantized as
  /// Backend::quantize does. None for bf16.
  Scales key_scale, value_scale;

  std::size_t sequences() const { return capacity == 0 ? 0 : keys.rows / capacity; }
};

}  // namespace fp8cal
