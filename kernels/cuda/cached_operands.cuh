#pragma once

#include <cstdint>

#include "kernels/cuda/fp8_code.cuh"
#include "kernels/cuda/pack.cuh"
#include "kernels/scales.hpp"

namespace fp8cal {

/// A new token's keys and values, which are not in the cache yet, and what rotates its queries and
/// keys. Rows start at multiples of 16 bytes.
struct NewToken {
  const std::uint16_t *k, *v;                                   // [sequences, kv_heads * head_dim]
  const std::uint16_t *cosine, *sine;                           // [positions, head_dim / 2]
  std::int64_t k_stride, v_stride, cosine_stride, sine_stride;  // elements
};

/// What the kernel of CudaCachedAttention is given.
struct CachedOperands {
  const std::uint16_t* q;       // [sequences, q_heads * head_dim] bf16
  bool q_aligned;               // rows of q start at multiples of 16 bytes
  bool appends;                 // `token` is to be kept, and q rotated
  NewToken token;               // else unused
  std::uint8_t *keys, *values;  // [sequences * capacity, kv_heads * head_dim]
  std::uint16_t* out;           // as q
  std::uint8_t* codes;          // as q, in e4m3, instead of out; null: out
  const float* code_scale;
  const std::uint32_t* positions;                  // [sequences]
  std::int64_t q_stride, out_stride, code_stride;  // elements
  std::int64_t row_bytes;                          // of the cache
  int capacity, split_keys;
  int group;  // heads of q that share one of k and v
  Scales key_scale, value_scale;
  float score_scale;  // log2(e) / sqrt(head_dim)
  float* sums;        // [sequences, q_heads, splits, head_dim]; null: one split
  float2* marks;      // [sequences, q_heads, splits]: exponent and total
  std::uint32_t*
      arrivals;  // [sequences, kv_heads]: splits whose parts are there; 0 before and after
};

/// Stores four neighbouring results, from that column of out on.
__device__ __forceinline__ void deliver(const CachedOperands& x, std::int64_t sequence, int column,
                                        const Divisor& divisor, const float4& results) {
  const float all[4] = {results.x, results.y, results.z, results.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const std::uint16_t rounded = to_bf16(all[i]);
    if (x.codes == nullptr) {
      x.out[sequence * x.out_stride + column + i] = rounded;
    } else {
      x.codes[sequence * x.code_stride + column + i] = code_of<__NV_E4M3>(rounded, divisor);
    }
  }
}

}  // namespace fp8cal
