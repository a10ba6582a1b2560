#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/device_memory.hpp"
#include "kernels/kv_cache.hpp"

namespace fp8cal {

/// Backend::cached_attention on tensor cores, for a head_dim of 32, 64 or 128 and at most 16 heads
/// of q that share one of k and v. All calls on one stream, since they share scratch memory.
class CudaCachedAttention {
 public:
  void run(cudaStream_t stream, ConstMatrix q, const KvCache& cache, const std::uint32_t* positions,
           std::size_t head_dim, Matrix out) {
    run(stream, q, cache, positions, head_dim, out, {}, nullptr);
  }
  /// The result goes to `codes`, e4m3, quantized by `scale`, and not to `out`.
  void run(cudaStream_t stream, ConstMatrix q, const KvCache& cache, const std::uint32_t* positions,
           std::size_t head_dim, Matrix out, Matrix codes, const float* scale);

 private:
  float* reserve(std::size_t floats);

  DeviceMemory partials_;  // [partials_count_] f32
  std::size_t partials_count_ = 0;
};

}  // namespace fp8cal
