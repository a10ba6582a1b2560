#include <stdexcept>

#include "kernels/checks.hpp"
#include "kernels/cuda/device_attributes.hpp"
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
constexpr unsigned kBinsOfExponent = 128;

/// A block's counters in shared memory. Where 32 values fall on 32 banks by chance, 3.5 of them
/// meet in one. So each bin of a window that most values lie in has kReplicas counters in as many
/// banks, for two lanes each; the other bins below `cold_exponents` have one, and the rest count in
/// global memory. No counter of 32 bits overflows: a block sees fewer than 2^32 elements of any
/// tensor that fits a GPU.
template <unsigned hot_exponents, unsigned cold_exponents>
class Histogram {
 public:
  static constexpr unsigned kReplicas = 16;
  static constexpr unsigned kHotBins = hot_exponents * kBinsOfExponent;
  static constexpr unsigned kColdBins = cold_exponents * kBinsOfExponent;
  static constexpr unsigned kWords = kHotBins * kReplicas + kColdBins;

  /// `sample`: an element that this thread's block will count, or a zero. To be called by all.
  __device__ Histogram(std::uint32_t* shared, std::uint64_t* global, Bf16 sample)
      : hot_(shared),
        cold_(shared + kHotBins * kReplicas),
        global_(reinterpret_cast<unsigned long long*>(global)) {
    for (unsigned w = threadIdx.x; w < kWords / 4; w += blockDim.x) {
      reinterpret_cast<uint4*>(shared)[w] = uint4{};
    }
    // Two thirds of the window lie below the mean exponent.
    const unsigned mean = mean_exponent(sample & 0x7FFFu);
    constexpr unsigned kBelow = hot_exponents * 2 / 3, kLast = kExponents - hot_exponents;
    first_hot_ = min(mean - min(mean, kBelow), kLast) * kBinsOfExponent;
    const std::uint32_t* own = hot_ + threadIdx.x % kReplicas;
    hot_address_ = address_of(own) - first_hot_ * kHotBytes;
    cold_address_ = address_of(cold_);
    __syncthreads();
  }

  __device__ void count(const Magnitudes& m) {
#pragma unroll
    for (const std::uint32_t word : m.words) {
      // Of `word & 0xFFFF` the compiler makes a shift and a mask for each address.
      count_one(__byte_perm(word, 0, 0x4410));
      count_one(word >> 16);
    }
  }

  /// The first `size` of a pack.
  __device__ void count(const Magnitudes& m, unsigned size) {
#pragma unroll
    for (unsigned i = 0; i < kPack; ++i) {
      if (i < size) count_one(m.at(i));
    }
  }

  __device__ void add_to_global() const {
    __syncthreads();
    for (unsigned b = threadIdx.x; b < kHotBins; b += blockDim.x) {
      std::uint32_t sum = 0;
#pragma unroll
      for (unsigned i = 0; i < kReplicas; ++i) {
        // In this order the lanes of a warp read from 32 banks.
        sum += hot_[b * kReplicas + (i + b / 2) % kReplicas];
      }
      if (sum != 0) atomicAdd(&global_[first_hot_ + b], static_cast<unsigned long long>(sum));
    }
#pragma unroll 4
    for (unsigned b = threadIdx.x; b < kColdBins; b += blockDim.x) {
      if (cold_[b] != 0) atomicAdd(&global_[b], static_cast<unsigned long long>(cold_[b]));
    }
  }

 private:
  static constexpr unsigned kExponents = kHistogramBins / kBinsOfExponent;

  /// Of the block's samples, zeros left out.
  __device__ static unsigned mean_exponent(std::uint32_t sample) {
    constexpr unsigned kOne = 1 << 20;  // above the sum of 1024 exponents
    const std::uint32_t mine = sample == 0 ? 0 : kOne + sample / kBinsOfExponent;
    const std::uint32_t all =
        reduce_block(mine, [](std::uint32_t a, std::uint32_t b) { return a + b; });
    return all == 0 ? 0 : all % kOne / (all / kOne);
  }

  __device__ static std::uint32_t address_of(const std::uint32_t* shared) {
    return static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
  }

  __device__ void count_one(std::uint32_t bin) {
    const bool hot = bin - first_hot_ < kHotBins;
    if (kColdBins == kHistogramBins || hot || bin < kColdBins) {
      // One atomic for lanes of both kinds, and no more than a multiplication for its address.
      const std::uint32_t hot_address = hot_address_ + bin * kHotBytes;
      const std::uint32_t cold_address = cold_address_ + bin * kColdBytes;
      asm volatile("red.shared.add.u32 [%0], 1;" ::"r"(hot ? hot_address : cold_address)
                   : "memory");
    } else {
      atomicAdd(&global_[bin], 1ull);
    }
  }

  static constexpr std::uint32_t kColdBytes = sizeof(std::uint32_t);
  static constexpr std::uint32_t kHotBytes = kReplicas * sizeof(std::uint32_t);

  const std::uint32_t* hot_;
  const std::uint32_t* cold_;
  unsigned long long* global_;
  unsigned first_hot_;
  std::uint32_t hot_address_;  // of this thread's counter of bin 0, were the window to begin there
  std::uint32_t cold_address_;
};

/// The maxima of a thread's columns, and of the sequence that its warp is in. All lanes see the
/// same rows, in order.
class Maxima {
 public:
  /// Rows count from `first_row`, a row of the first sequence.
  __device__ Maxima(std::uint32_t* by_sequence, std::size_t length, std::size_t first_row)
      : by_sequence_(by_sequence), length_(length), first_row_(first_row) {}

  __device__ void enter_row(unsigned row) {
    if (row < end_) return;
    end_sequence();
    sequence_ = (first_row_ + row) / length_;
    const std::size_t left = (sequence_ + 1) * length_ - first_row_;
    end_ = static_cast<unsigned>(min(left, std::size_t{0xFFFFFFFF}));
  }

  __device__ void raise(const Magnitudes& m) {
#pragma unroll
    for (unsigned w = 0; w < kPack / 2; ++w) {
      largest_.words[w] = larger_halves(largest_.words[w], m.words[w]);
    }
  }

  __device__ void end_sequence() {
    const std::uint32_t own = larger_half(larger_halves(largest_));
    const std::uint32_t largest = __reduce_max_sync(0xFFFFFFFFu, own);
    if (threadIdx.x % 32 == 0 && largest != 0) {
      atomicMax(&by_sequence_[sequence_], float_bits(largest));
    }
#pragma unroll
    for (unsigned w = 0; w < kPack / 2; ++w) {
      channels_.words[w] = larger_halves(channels_.words[w], largest_.words[w]);
      largest_.words[w] = 0;
    }
  }

  /// As of the last end_sequence.
  __device__ const Magnitudes& channels() const { return channels_; }

 private:
  std::uint32_t* by_sequence_;
  std::size_t length_;
  std::size_t first_row_;
  std::size_t sequence_ = 0;
  unsigned end_ = 0;  // the first row of the next sequence
  Magnitudes largest_;
  Magnitudes channels_;
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

/// Rows first + i for i < rows of a tile. Packs: rows are whole packs, and aligned. While
/// a pack is counted, those of the next rows are on their way.
template <bool packs, class Counters>
__device__ void observe_tile(const ObserveArguments& a, std::size_t tile, std::size_t first,
                             unsigned rows, Counters& counters) {
  unsigned row = threadIdx.x / kTilePacks;
  if (row >= rows) return;  // the whole warp
  const std::size_t column = tile * kTileColumns + threadIdx.x % kTilePacks * kPack;
  const unsigned count = pack_size(column, a.x.cols);
  const auto* begin = static_cast<const Bf16*>(a.x.data) + (first + row) * a.x.stride;
  if (count != 0) begin += column;  // else any column: it is not counted
  const auto* next = begin;
  const std::size_t step = kTileRows * a.x.stride;
  Maxima maxima(a.into.sequence_amax, a.sequence_length, a.first_row + first);

  const auto fetch = [&](unsigned from) {
    const Bf16* at = from < rows ? next : begin;
    next += step;
    return load<packs>(at, packs ? kPack : count);
  };
  const auto take = [&](const Magnitudes& m) {
    maxima.enter_row(row);
    maxima.raise(m);
    if (!packs) {
      counters.count(m, count);
    } else if (count != 0) {
      counters.count(m);
    }
    row += kTileRows;
  };
  Pack ring[kLoadsInFlight];
#pragma unroll
  for (unsigned l = 0; l < kLoadsInFlight; ++l) ring[l] = fetch(row + l * kTileRows);
  while (row + (kLoadsInFlight - 1) * kTileRows < rows) {
#pragma unroll
    for (unsigned l = 0; l < kLoadsInFlight; ++l) {
      take(magnitudes_of(ring[l]));
      ring[l] = fetch(row + (kLoadsInFlight - 1) * kTileRows);
    }
  }
#pragma unroll
  for (unsigned l = 0; l + 1 < kLoadsInFlight; ++l) {
    if (row < rows) take(magnitudes_of(ring[l]));
  }
  maxima.end_sequence();
  raise_channels(maxima.channels(), count, a.into.channel_amax + column);
}

/// The element of row `first` + the thread's row and the tile's columns that a thread begins with.
__device__ Bf16 first_element(const ConstMatrix& x, std::size_t tile, std::size_t first) {
  const std::size_t row = first + threadIdx.x / kTilePacks;
  const std::size_t column = tile * kTileColumns + threadIdx.x % kTilePacks * kPack;
  const bool there = row < x.rows && column < x.cols;
  return there ? static_cast<const Bf16*>(x.data)[row * x.stride + column] : Bf16{0};
}

/// The steps of kTileRows rows, tile after tile, are shared out evenly over the blocks.
template <bool packs, class Counters>
__global__ void __launch_bounds__(kObserveThreads, 1) observe_kernel(ObserveArguments a) {
  extern __shared__ uint4 shared[];
  const std::size_t tile_steps = ceil_divide(a.x.rows, kTileRows);
  const std::size_t steps = tile_steps * ceil_divide(a.x.cols, kTileColumns);
  std::size_t step = steps * blockIdx.x / gridDim.x;
  const std::size_t end = steps * (blockIdx.x + 1) / gridDim.x;
  const Bf16 sample = first_element(a.x, step / tile_steps, step % tile_steps * kTileRows);
  Counters counters(reinterpret_cast<std::uint32_t*>(shared), a.into.histogram, sample);
  while (step < end) {
    const std::size_t tile = step / tile_steps;
    const std::size_t first = step % tile_steps;
    const std::size_t count = min(end - step, tile_steps - first);
    const std::size_t first_row = first * kTileRows;
    const auto rows = static_cast<unsigned>(min(count * kTileRows, a.x.rows - first_row));
    observe_tile<packs>(a, tile, first_row, rows, counters);
    step += count;
  }
  counters.add_to_global();
}

template <bool packs, class Counters>
void observe(cudaStream_t stream, const ObserveArguments& arguments, unsigned blocks) {
  constexpr int kSharedBytes = Counters::kWords * sizeof(std::uint32_t);
  const auto kernel = observe_kernel<packs, Counters>;
  FP8CAL_CUDA(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedBytes));
  kernel<<<blocks, kObserveThreads, kSharedBytes, stream>>>(arguments);
  FP8CAL_CUDA(cudaGetLastError());
}

// Of the 227 KB of shared memory of Hopper, 224. Elsewhere, with 99 KB, bins of magnitudes of 2^33
// and more are left to global memory: activations have none.
using LargeHistogram = Histogram<12, 256>;
using SmallHistogram = Histogram<2, 160>;
static_assert(LargeHistogram::kColdBins == kHistogramBins);

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
  const bool large = shared_bytes >= 227 * 1024;
  const ObserveArguments arguments{x, first_row, sequence_length, into};
  if (packs_aligned(x) && x.cols % kPack == 0) {
    (large ? observe<true, LargeHistogram> : observe<true, SmallHistogram>)(stream, arguments,
                                                                            blocks);
  } else {
    (large ? observe<false, LargeHistogram> : observe<false, SmallHistogram>)(stream, arguments,
                                                                              blocks);
  }
}

}  // namespace fp8cal
