#include "kernels/cuda/cuda_check.hpp"
#include "kernels/cuda/scale_vector.hpp"

namespace fp8cal {
namespace {

constexpr unsigned kThreads = 256;

/// step: 0 repeats the first scale, 1 copies.
__global__ void spread_scales(const float* from, std::size_t step, std::size_t count, float* to) {
  const std::size_t i = std::size_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < count) to[i] = from[i * step];
}

}  // namespace

void cuda_spread_scales(cudaStream_t stream, Scales scales, std::size_t count, float* to) {
  if (count == 0) return;
  const auto blocks = static_cast<unsigned>((count + kThreads - 1) / kThreads);
  spread_scales<<<blocks, kThreads, 0, stream>>>(scales.data, scales.count == 1 ? 0 : 1, count, to);
  FP8CAL_CUDA(cudaGetLastError());
}

}  // namespace fp8cal
