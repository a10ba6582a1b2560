#include <stdexcept>

#include "kernels/checks.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/magnitude.cuh"
#include "kernels/cuda/pack.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/statistics.cuh"

namespace fp8cal {
namespace {

using Bf16 = std::uint16_t;

template <bool aligned>
__global__ void __launch_bounds__(kThreads) row_amax_kernel(ConstMatrix x, std::uint32_t* amax) {
  for (std::size_t r = blockIdx.x; r < x.rows; r += gridDim.x) {
    const auto* row = static_cast<const Bf16*>(x.data) + r * x.stride;
    const std::uint32_t magnitude = block_maximum(larger_half(row_magnitude<aligned>(row, x.cols)));
    if (threadIdx.x == 0) amax[r] = float_bits(magnitude);
  }
}

// A block of `observe` walks down a tile of columns, several rows at a time. All threads of a warp
// are in one row; each keeps its columns, and so their maxima, in registers.
constexpr unsigned kObserveThreads = 1024;
constexpr unsigned kTilePacks = 64;
constexpr unsigned kTileColumns = kTilePacks * kPack;
constexpr unsigned kTileRows = kObserveThreads / kTilePacks;
constexpr unsigned kLoadsInFlight = 4;

/// Counters of the bins below `shared_bins` in shared memory, of all others in global memory. No
/// counter of 32 bits overflows: a block sees fewer than 2^32 elements of any tensor that fits a
/// GPU.
template <unsigned shared_bins>
class Histogram {
 public:
  __device__ Histogram(std::uint32_t* shared, std::uint64_t* global)
      : shared_(shared), global_(reinterpret_cast<unsigned long long*>(global)) {
    for (unsigned b = threadIdx.x; b < shared_bins; b += blockDim.x) shared_[b] = 0;
    __syncthreads();
  }

  /// The first `size` of a pack.
  __device__ void count(const Magnitudes& m, unsigned size) {
    if (size == kPack) {
#pragma unroll
      for (const std::uint32_t word : m.words) {
        count_one(word & 0xFFFFu);
        count_one(word >> 16);
      }
    } else {
#pragma unroll
      for (unsigned i = 0; i < kPack; ++i) {
        if (i < size) count_one(m.at(i));
      }
    }
  }

  __device__ void add_to_global() const {
    __syncthreads();
    for (unsigned b = threadIdx.x; b < shared_bins; b += blockDim.x) {
      if (shared_[b] != 0) atomicAdd(&global_[b], static_cast<unsigned long long>(shared_[b]));
    }
  }

 private:
  __device__ void count_one(std::uint32_t bin) {
    if (shared_bins == kHistogramBins || bin < shared_bins) {
      atomicAdd(&shared_[bin], 1u);
    } else {
      atomicAdd(&global_[bin], 1ull);
    }
  }

  std::uint32_t* shared_;
  unsigned long long* global_;
};

/// The running maximum of the sequence that a warp is in. All lanes see the same rows, in order.
class SequenceMaximum {
 public:
  __device__ SequenceMaximum(std::uint32_t* amax, std::size_t length)
      : amax_(amax), length_(length) {}

  __device__ void enter_row(std::size_t row) {
    if (row < end_) return;
    flush();
    sequence_ = row / length_;
    end_ = (sequence_ + 1) * length_;
  }

  __device__ void raise(const Magnitudes& m) {
    largest_ = larger_halves(largest_, larger_halves(m));
  }

  __device__ void flush() {
    const std::uint32_t largest = __reduce_max_sync(0xFFFFFFFFu, larger_half(largest_));
    if (threadIdx.x % 32 == 0 && largest != 0) atomicMax(&amax_[sequence_], float_bits(largest));
    largest_ = 0;
  }

 private:
  std::uint32_t* amax_;
  std::size_t length_;
  std::size_t sequence_ = 0;
  std::size_t end_ = 0;  // the first row of the next sequence
  std::uint32_t largest_ = 0;
};

__device__ void raise_channels(const Magnitudes& maxima, unsigned count, std::uint32_t* amax) {
#pragma unroll
  for (unsigned i = 0; i < kPack; ++i) {
    const std::uint32_t magnitude = maxima.at(i);
    // Many threads share a channel, and few raise it: a look spares most of them the atomic.
    const volatile std::uint32_t* seen = &amax[i];
    if (i < count && float_bits(magnitude) > *seen) atomicMax(&amax[i], float_bits(magnitude));
  }
}

struct ObserveArguments {
  ConstMatrix x;
  std::size_t first_row;
  std::size_t sequence_length;
  Observation into;
};

template <bool aligned, class Counters>
__device__ void observe_tile(const ObserveArguments& a, std::size_t tile, std::size_t first,
                             std::size_t last, Counters& histogram) {
  const std::size_t column = tile * kTileColumns + threadIdx.x % kTilePacks * kPack;
  const unsigned count = pack_size(column, a.x.cols);
  const auto* data = static_cast<const Bf16*>(a.x.data) + column;
  Magnitudes channels;
  SequenceMaximum sequence(a.into.sequence_amax, a.sequence_length);

  std::size_t row = first + threadIdx.x / kTilePacks;
  for (; row < last; row += kLoadsInFlight * kTileRows) {
    Pack packs[kLoadsInFlight];
#pragma unroll
    for (unsigned l = 0; l < kLoadsInFlight; ++l) {
      const std::size_t r = row + l * kTileRows;
      packs[l] = load<aligned>(data + r * a.x.stride, r < last ? count : 0);
    }
#pragma unroll
    for (unsigned l = 0; l < kLoadsInFlight; ++l) {
      const std::size_t r = row + l * kTileRows;
      if (r >= last) break;
      const Magnitudes m = magnitudes_of(packs[l]);
      sequence.enter_row(a.first_row + r);
      sequence.raise(m);
#pragma unroll
      for (unsigned w = 0; w < kPack / 2; ++w) {
        channels.words[w] = larger_halves(channels.words[w], m.words[w]);
      }
      histogram.count(m, count);
    }
  }
  sequence.flush();
  raise_channels(channels, count, a.into.channel_amax + column);
}

/// The steps of kTileRows rows, tile after tile, are shared out evenly over the blocks.
template <bool aligned, unsigned shared_bins>
__global__ void __launch_bounds__(kObserveThreads, 1) observe_kernel(ObserveArguments a) {
  extern __shared__ std::uint32_t shared[];
  Histogram<shared_bins> histogram(shared, a.into.histogram);
  const std::size_t tile_steps = ceil_divide(a.x.rows, kTileRows);
  const std::size_t steps = tile_steps * ceil_divide(a.x.cols, kTileColumns);
  std::size_t step = steps * blockIdx.x / gridDim.x;
  const std::size_t end = steps * (blockIdx.x + 1) / gridDim.x;
  while (step < end) {
    const std::size_t first = step % tile_steps;
    const std::size_t count = min(end - step, tile_steps - first);
    observe_tile<aligned>(a, step / tile_steps, first * kTileRows,
                          min((first + count) * kTileRows, a.x.rows), histogram);
    step += count;
  }
  histogram.add_to_global();
}

template <bool aligned, unsigned shared_bins>
void observe(cudaStream_t stream, const ObserveArguments& arguments, unsigned blocks) {
  constexpr int kSharedBytes = shared_bins * sizeof(std::uint32_t);
  const auto kernel = observe_kernel<aligned, shared_bins>;
  FP8CAL_CUDA(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedBytes));
  kernel<<<blocks, kObserveThreads, kSharedBytes, stream>>>(arguments);
  FP8CAL_CUDA(cudaGetLastError());
}

int attribute_of_device(cudaDeviceAttr attribute) {
  int device = 0, value = 0;
  FP8CAL_CUDA(cudaGetDevice(&device));
  FP8CAL_CUDA(cudaDeviceGetAttribute(&value, attribute, device));
  return value;
}

// All bins fit the shared memory of Hopper. Elsewhere, with 99 KB, bins of magnitudes of 2^65 and
// more are left to global memory: activations have none.
constexpr unsigned kFewerBins = 192 * 128;

}  // namespace

// Reads 2 bytes an element.
void cuda_row_amax(cudaStream_t stream, ConstMatrix x, std::uint32_t* amax) {
  expect_matrix("row_amax: x", x, x.rows, x.cols);
  if (x.rows == 0) return;
  const auto kernel = packs_aligned(x) ? row_amax_kernel<true> : row_amax_kernel<false>;
  kernel<<<row_blocks(x.rows), row_threads(x.cols), 0, stream>>>(x, amax);
  FP8CAL_CUDA(cudaGetLastError());
}

// Reads 2 bytes an element.
void cuda_observe(cudaStream_t stream, ConstMatrix x, std::size_t first_row,
                  std::size_t sequence_length, const Observation& into) {
  expect_matrix("observe: x", x, x.rows, x.cols);
  if (x.rows == 0 || x.cols == 0) return;
  if (sequence_length == 0) {
    throw std::invalid_argument("observe: sequence_length: expected at least 1, found 0");
  }
  const std::size_t steps = ceil_divide(x.rows, kTileRows) * ceil_divide(x.cols, kTileColumns);
  const auto processors =
      static_cast<std::size_t>(attribute_of_device(cudaDevAttrMultiProcessorCount));
  const auto blocks = static_cast<unsigned>(std::min(steps, processors));
  const int shared_bytes = attribute_of_device(cudaDevAttrMaxSharedMemoryPerBlockOptin);
  const bool all_bins = shared_bytes >= static_cast<int>(kHistogramBins * sizeof(std::uint32_t));
  const ObserveArguments arguments{x, first_row, sequence_length, into};
  if (packs_aligned(x)) {
    (all_bins ? observe<true, kHistogramBins> : observe<true, kFewerBins>)(stream, arguments,
                                                                           blocks);
  } else {
    (all_bins ? observe<false, kHistogramBins> : observe<false, kFewerBins>)(stream, arguments,
                                                                             blocks);
  }
}

}  // namespace fp8cal
