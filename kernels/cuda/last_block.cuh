#pragma once

#include <cstdint>

namespace fp8cal {

/// True in the block of `blocks` that comes last: then what the others stored before is in the L2
/// cache, for __ldcg. counter: 0 before the first, and again for the next kernel. For all threads
/// of a block.
__device__ __forceinline__ bool arrives_last(std::uint32_t* counter, std::uint32_t blocks) {
  __shared__ bool last;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    last = atomicAdd(counter, 1u) + 1 == blocks;
    __threadfence();
  }
  __syncthreads();
  if (last && threadIdx.x == 0) *counter = 0;
  return last;
}

}  // namespace fp8cal
