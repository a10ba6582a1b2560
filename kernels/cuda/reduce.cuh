#pragma once

#include <cstdint>

namespace fp8cal {

/// Combines the values of all threads of a block of whole warps, in a fixed order, and returns the
/// result to all of them. `combine` is commutative.
template <class T, class Combine>
__device__ T reduce_block(T value, Combine combine) {
  __shared__ T warps[32];
#pragma unroll
  for (unsigned distance = 16; distance > 0; distance /= 2) {
    value = combine(value, __shfl_xor_sync(0xFFFFFFFFu, value, distance));
  }
  __syncthreads();  // a reduction before this one has been read
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
  __syncthreads();
  T result = warps[0];
  for (unsigned w = 1; w < blockDim.x / 32; ++w) result = combine(result, warps[w]);
  return result;
}

__device__ inline float block_sum(float value) {
  return reduce_block(value, [](float a, float b) { return __fadd_rn(a, b); });
}

/// NaN left out.
__device__ inline float block_maximum(float value) {
  return reduce_block(value, [](float a, float b) { return fmaxf(a, b); });
}

/// By the instruction for it, and so faster.
__device__ inline std::uint32_t block_maximum(std::uint32_t value) {
  __shared__ std::uint32_t warps[32];
  constexpr unsigned kAll = 0xFFFFFFFFu;
  value = __reduce_max_sync(kAll, value);
  __syncthreads();  // a maximum before this one has been read
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
  __syncthreads();
  return __reduce_max_sync(kAll, threadIdx.x % 32 < blockDim.x / 32 ? warps[threadIdx.x % 32] : 0);
}

}  // namespace fp8cal
