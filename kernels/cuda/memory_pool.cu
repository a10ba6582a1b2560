#include <limits>

#include "kernels/cuda/cuda_check.hpp"
#include "kernels/cuda/memory_pool.hpp"

namespace fp8cal {

MemoryPool create_memory_pool(int device, std::uint64_t limit) {
  cudaMemPoolProps properties{};
  properties.allocType = cudaMemAllocationTypePinned;
  properties.location.type = cudaMemLocationTypeDevice;
  properties.location.id = device;
  properties.maxSize = limit;
  cudaMemPool_t created = nullptr;
  FP8CAL_CUDA(cudaMemPoolCreate(&created, &properties));
  MemoryPool pool(created);
  std::uint64_t keep = std::numeric_limits<std::uint64_t>::max();
  FP8CAL_CUDA(cudaMemPoolSetAttribute(created, cudaMemPoolAttrReleaseThreshold, &keep));
  return pool;
}

}  // namespace fp8cal
