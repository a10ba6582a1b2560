#include <algorithm>

#include "kernels/cuda/checksum.cuh"
#include "kernels/cuda/cuda_check.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/reduce.cuh"

namespace fp8cal {
namespace {

constexpr std::size_t kMostBlocks = 2048;  // more than run at once on any GPU of today

/// splitmix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014. At
/// each position another one-to-one map of words: a change of one word always shows.
__device__ std::uint64_t mix(std::uint64_t word, std::uint64_t position) {
  std::uint64_t z = word + (position + 1) * 0x9E3779B97F4A7C15ULL;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

/// Integer sums: the same ones in any order.
template <class Word>
__global__ void __launch_bounds__(kThreads)
    checksum_kernel(const Word* data, std::size_t rows, std::size_t words, std::size_t stride,
                    unsigned long long* sum) {
  std::uint64_t partial = 0;
  for (std::size_t r = blockIdx.x; r < rows; r += gridDim.x) {
    const Word* row = data + r * stride;
#pragma unroll 4
    for (std::size_t i = threadIdx.x; i < words; i += blockDim.x) {
      partial += mix(row[i], r * words + i);
    }
  }
  partial = reduce_block(partial, [](std::uint64_t a, std::uint64_t b) { return a + b; });
  if (threadIdx.x == 0) atomicAdd(sum, static_cast<unsigned long long>(partial));
}

/// True where the matrix is one of whole, aligned words.
template <class Word>
bool consists_of(const ConstMatrix& x) {
  const std::size_t element = size_of(x.dtype);
  const std::size_t stride = x.rows > 1 ? x.stride : 0;
  return (reinterpret_cast<std::uintptr_t>(x.data) | x.cols * element | stride * element) %
             sizeof(Word) ==
         0;
}

template <class Word>
void add_words(cudaStream_t stream, const ConstMatrix& x, std::uint64_t* sum) {
  const std::size_t element = size_of(x.dtype);
  const auto blocks = static_cast<unsigned>(std::min(x.rows, kMostBlocks));
  checksum_kernel<Word><<<blocks, kThreads, 0, stream>>>(
      static_cast<const Word*>(x.data), x.rows, x.cols * element / sizeof(Word),
      x.stride * element / sizeof(Word), reinterpret_cast<unsigned long long*>(sum));
  FP8CAL_CUDA(cudaGetLastError());
}

}  // namespace

void cuda_checksum(cudaStream_t stream, ConstMatrix x, std::uint64_t* sum) {
  FP8CAL_CUDA(cudaMemsetAsync(sum, 0, sizeof *sum, stream));
  if (x.rows == 0 || x.cols == 0) return;
  if (consists_of<std::uint64_t>(x)) {
    add_words<std::uint64_t>(stream, x, sum);
  } else if (consists_of<std::uint32_t>(x)) {
    add_words<std::uint32_t>(stream, x, sum);
  } else if (consists_of<std::uint16_t>(x)) {
    add_words<std::uint16_t>(stream, x, sum);
  } else {
    add_words<std::uint8_t>(stream, x, sum);
  }
}

}  // namespace fp8cal
