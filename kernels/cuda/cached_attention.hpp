#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "kernels/backend.hpp"
#include "kernels/cuda/device_memory.hpp"

namespace fp8cal {

struct NewToken;

/// Attention over a cache on tensor cores, in one kernel, for a head_dim of 32, 64 or 128 and at
/// most 16 heads of q that share one of k and v. All calls on one stream, since they share scratch
/// memory.
class CudaCachedAttention {
 public:
  /// Backend::cached_attention.
  void attend(cudaStream_t stream, ConstMatrix q, const KvCache& cache,
              const std::uint32_t* positions, std::size_t head_dim, Matrix out);

  /// Backend::decode_attention, q and k left as they are; codes only by one scale. False, and
  /// nothing is done, where rows of an operand do not start at multiples of 16 bytes.
  bool append_and_attend(cudaStream_t stream, ConstMatrix q, ConstMatrix k, ConstMatrix v,
                         std::size_t head_dim, ConstMatrix cosine, ConstMatrix sine,
                         const std::uint32_t* positions, const KvCache& cache, Matrix out,
                         const QuantizedRows& into);

 private:
  /// token: null where it is in the cache already, and q rotated.
  void run(cudaStream_t stream, ConstMatrix q, const KvCache& cache, const std::uint32_t* positions,
           std::size_t head_dim, Matrix out, const QuantizedRows& into, const NewToken* token);
  void reserve(cudaStream_t stream, std::size_t floats, std::size_t counters);

  DeviceMemory partials_;  // [partials_count_] f32
  std::size_t partials_count_ = 0;
  DeviceMemory arrivals_;  // [arrivals_count_] u32, zeros between kernels
  std::size_t arrivals_count_ = 0;
};

}  // namespace fp8cal
