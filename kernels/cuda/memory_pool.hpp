#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>
#include <type_traits>

namespace fp8cal {

struct DestroyMemoryPool {
  void operator()(cudaMemPool_t pool) const noexcept {
    static_cast<void>(cudaMemPoolDestroy(pool));
  }
};
/// A pool for cudaMallocFromPoolAsync. Freed memory stays in it, for the next buffer.
using MemoryPool = std::unique_ptr<std::remove_pointer_t<cudaMemPool_t>, DestroyMemoryPool>;

/// limit: bytes that it may hold; 0: what the device has. An allocation beyond it fails with
/// cudaErrorMemoryAllocation.
MemoryPool create_memory_pool(int device, std::uint64_t limit);

}  // namespace fp8cal
