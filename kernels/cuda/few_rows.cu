#include <algorithm>
#include <cstdint>

#include "kernels/checks.hpp"
#include "kernels/cuda/device_attributes.hpp"
#include "kernels/cuda/few_rows.cuh"
#include "kernels/cuda/few_rows_walk.cuh"
#include "kernels/cuda/fp8_code.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/quantized_row.cuh"
#include "kernels/cuda/rows.cuh"

namespace fp8cal {
namespace {

constexpr int kEarlyStages = 2;  // under way at once, while the kernel before still runs

/// The results that a thread stores, and what their sums are multiplied by. Scales are read long
/// before they are used: they lie in memory, not in the L2 cache.
template <class P>
class Results {
 public:
  __device__ Results(const FewRowsProduct& p, int first_column)
      : p_(p), first_column_(first_column) {
    if (P::gated && p.codes != nullptr) code_scale_ = *p.code_scale;
    if constexpr (P::meeting != Meeting::bf16) {
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        if (!exists(i)) continue;
#pragma unroll
        for (int part = 0; part < P::kParts; ++part) {
          const Scales& scale = p.weight_scale;
          scales_[i][part] = scale.data[scale.count == 1 ? 0 : P::weight_row(p, column(i), part)];
        }
      }
    }
  }

  /// Of one row that the block has quantized.
  __device__ void set_x_scale(float scale) { x_scales_[0] = scale; }

  /// For when x is there.
  __device__ void read_x_scales() {
    if constexpr (P::meeting == Meeting::e4m3) {
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        if (exists(i)) x_scales_[i] = p_.x_scale.data[p_.x_scale.count == 1 ? 0 : row(i)];
      }
    }
  }

  __device__ void store(const typename P::Shares* shares) const {
    const Divisor divisor(code_scale_);
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      if (!exists(i)) continue;
      std::uint16_t result = sum(shares, i, 0);
      if constexpr (P::gated) {
        result = silu_product(result, sum(shares, i, 1));
        if (p_.codes != nullptr) {
          p_.codes[row(i) * p_.codes_stride + column(i)] = code_of<__NV_E4M3>(result, divisor);
          continue;
        }
      }
      p_.out[row(i) * p_.out_stride + column(i)] = result;
    }
  }

 private:
  static constexpr int kThreads = 32 * kWarps;
  static constexpr int kCount = (P::kRows * P::kColumns + kThreads - 1) / kThreads;

  __device__ int at(int i) const { return static_cast<int>(threadIdx.x) + i * kThreads; }
  __device__ int row(int i) const { return at(i) / P::kColumns; }
  __device__ int column(int i) const { return first_column_ + at(i) % P::kColumns; }
  __device__ bool exists(int i) const { return row(i) < p_.rows && column(i) < p_.columns; }

  /// The warps' sums in their order, scaled.
  __device__ std::uint16_t sum(const typename P::Shares* shares, int i, int part) const {
    float sum = 0.0f;
    const int share_column = P::share_column(at(i) % P::kColumns, part);
#pragma unroll
    for (int w = 0; w < kWarps; ++w) sum += shares[w][row(i)][share_column];
    if constexpr (P::meeting == Meeting::mixed) sum *= scales_[i][part];
    if constexpr (P::meeting == Meeting::e4m3) sum *= scales_[i][part] * x_scales_[i];
    return to_bf16(sum);
  }

  const FewRowsProduct& p_;
  int first_column_;
  float scales_[kCount][P::kParts];
  float x_scales_[kCount];
  float code_scale_ = 1.0f;
};

/// The whole walk, x coming along.
template <class P>
__device__ void walk_with_x(const Walk<P>& walk, Results<P>& results, typename P::Sums& sums) {
#pragma unroll
  for (int i = 0; i < P::kStages - 1; ++i) {
    walk.copy_x(i);
    close_copies();
  }
  results.read_x_scales();
  for (int i = 0; i < walk.steps(); ++i) {
    wait_for_groups<P::kStages - 2>();
    __syncwarp();  // x is for several lanes
    const Step<P> step = walk.read(i);
    walk.copy_weight(i + P::kStages - 1);
    walk.copy_x(i + P::kStages - 1);
    close_copies();
    multiply_step<P>(step, sums);
  }
}

/// The whole walk, x being quantized before.
template <class P>
__device__ void walk_past_codes(const FewRowsProduct& p, unsigned char* codes, const Walk<P>& walk,
                                Results<P>& results, typename P::Sums& sums) {
  const auto* row = reinterpret_cast<const Pack*>(p.x);
  const int columns = p.row_bytes;  // a byte each
  results.set_x_scale(quantize_row<P::kHeldPacks>(row, columns, whole_steps(columns), codes));
  for (int i = 0; i < walk.steps(); ++i) {
    wait_for_groups<P::kStages - 2>();
    const Step<P> step = walk.read(i, codes);
    walk.copy_weight(i + P::kStages - 1);
    close_copies();
    multiply_step<P>(step, sums);
  }
}

/// One block: kColumns output columns of all rows. One that quantizes takes no more registers than
/// others do: that leaves room for blocks of the kernels before and after it.
template <class P>
__global__ void __launch_bounds__(32 * kWarps, P::quantizes ? 4 : 1)
    few_rows_kernel(const FewRowsProduct p) {
  extern __shared__ __align__(1024) unsigned char shared_memory[];
  const int first_column = static_cast<int>(blockIdx.x) * P::kColumns;
  Results<P> results(p, first_column);
  const Walk<P> walk(p, first_column, shared_memory);
#pragma unroll
  for (int i = 0; i < P::kStages - 1; ++i) {
    walk.copy_weight(i);
    close_copies();
    // A few at a time: what the kernel before still reads would wait behind them.
    if (i >= kEarlyStages) wait_for_groups<kEarlyStages>();
  }
  let_next_start();
  wait_for_earlier();  // x may be what the kernel before writes, a weight is not
  typename P::Sums sums = {};
  if constexpr (P::quantizes) {
    walk_past_codes<P>(p, shared_memory + kWarps * P::kWarpBytes, walk, results, sums);
  } else {
    walk_with_x<P>(walk, results, sums);
  }
  wait_for_copies();
  __syncthreads();  // nobody reads a ring any more

  auto* shares = reinterpret_cast<typename P::Shares*>(shared_memory);
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
#pragma unroll
  for (int n = 0; n < P::column_tiles; ++n) {
#pragma unroll
    for (int m = 0; m < P::row_tiles; ++m) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        shares[warp][kTileRows * m + 2 * (lane % 4) + i % 2]
              [kTileColumns * n + 8 * (i / 2) + lane / 4] = sums[n][m][i];
      }
    }
  }
  __syncthreads();
  results.store(shares);
}

template <class P>
void launch(cudaStream_t stream, const FewRowsProduct& product) {
  // As much as keeps other blocks away, whatever of it is used.
  constexpr int kUsedBytes =
      kWarps * std::max(P::kWarpBytes, static_cast<int>(sizeof(typename P::Shares)));
  constexpr int kSharedBytes = std::max(kUsedBytes, P::kSharedBytes);
  const auto blocks = static_cast<unsigned>((product.columns + P::kColumns - 1) / P::kColumns);
  const auto kernel = few_rows_kernel<P>;
  FP8CAL_CUDA(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedBytes));
  launch_early(stream, kernel, blocks, 32 * kWarps, kSharedBytes, product);
}

/// Whether a block may have so much shared memory: on sm_89 one of two a multiprocessor may not.
template <class P>
bool has_room() {
  constexpr int kBeside = 2 << 10;  // in a kernel, whatever its plan
  return P::kSharedBytes + kBeside <= attribute_of_device(cudaDevAttrMaxSharedMemoryPerBlockOptin);
}

/// Blocks that all find room at two a multiprocessor, or three, must not crowd on some of them at
/// more, where they would share what one multiprocessor can read. Of blocks that come one after the
/// other, many small ones leave the shortest pauses in between.
template <Meeting meeting, int column_tiles, int x_rows, bool gated>
void launch_spread(cudaStream_t stream, const FewRowsProduct& product) {
  using Two = Plan<meeting, column_tiles, x_rows, 2, gated>;
  using Three = Plan<meeting, column_tiles, x_rows, 3, gated>;
  using Most = Plan<meeting, column_tiles, x_rows, x_rows == 1 ? 4 : 3, gated>;
  const int multiprocessors = attribute_of_device(cudaDevAttrMultiProcessorCount);
  if (product.columns <= 2 * multiprocessors * Two::kColumns && has_room<Two>()) {
    if constexpr (meeting == Meeting::e4m3 && x_rows == 1) {
      using TwoLong = Plan<meeting, column_tiles, x_rows, 2, gated, true>;
      if (product.row_bytes > kLongWalk) return launch<TwoLong>(stream, product);
    }
    launch<Two>(stream, product);
  } else if (product.columns <= 3 * multiprocessors * Three::kColumns) {
    launch<Three>(stream, product);
  } else {
    launch<Most>(stream, product);
  }
}

/// Of one row that is quantized, where it is short enough; else false, and nothing is done.
template <class P>
bool launch_if_fits(cudaStream_t stream, const FewRowsProduct& product) {
  constexpr int kMostColumns = 32 * kWarps * P::kHeldPacks * static_cast<int>(kPack);
  const int columns = product.row_bytes;
  if (columns > kMostColumns || whole_steps(columns) > P::kCodeBytes || !has_room<P>())
    return false;
  launch<P>(stream, product);
  return true;
}

/// More rows of x share what is read of the weight, and then more columns what is read of x.
template <Meeting meeting, bool gated>
void launch_for_rows(cudaStream_t stream, const FewRowsProduct& product) {
  if (product.rows == 1) return launch_spread<meeting, 1, 1, gated>(stream, product);
  if (product.rows <= 8) return launch_spread<meeting, 1, 8, gated>(stream, product);
  if (product.rows <= 16) return launch_spread<meeting, 1, 16, gated>(stream, product);
  return launch_spread<meeting, 2, 32, gated>(stream, product);
}

template <bool gated>
void launch_for_dtypes(cudaStream_t stream, const ConstMatrix& x, const ConstMatrix& weight,
                       const FewRowsProduct& product) {
  if (weight.dtype == DType::bf16) {
    launch_for_rows<Meeting::bf16, gated>(stream, product);
  } else if (x.dtype == DType::bf16) {
    launch_for_rows<Meeting::mixed, gated>(stream, product);
  } else {
    launch_for_rows<Meeting::e4m3, gated>(stream, product);
  }
}

FewRowsProduct product_of(const ConstMatrix& x, Scales x_scale, const ConstMatrix& weight,
                          Scales weight_scale, const Matrix& out, const QuantizedRows& into) {
  return {static_cast<const std::uint8_t*>(x.data),
          static_cast<const std::uint8_t*>(weight.data),
          static_cast<std::uint16_t*>(out.data),
          static_cast<std::uint8_t*>(into.codes.data),
          into.scale.data,
          x.stride * size_of(x.dtype),
          weight.stride * size_of(weight.dtype),
          out.stride,
          into.codes.stride,
          static_cast<int>(out.rows),
          static_cast<int>(out.cols),
          static_cast<int>(x.cols * size_of(weight.dtype)),
          x_scale,
          weight_scale};
}

}  // namespace

bool can_multiply_few(const ConstMatrix& x, const ConstMatrix& weight) {
  constexpr std::size_t kLoad = sizeof(uint4);
  return x.rows <= kFewRows && x.cols * size_of(weight.dtype) % kLoad == 0 &&
         rows_aligned(x, kLoad) && rows_aligned(weight, kLoad) &&
         weight.rows <= std::size_t{0x7FFFFFFF} && x.cols <= std::size_t{0x1FFFFFFF};
}

// Reads the weight once; x comes from the L2 cache.
void cuda_multiply_few(cudaStream_t stream, ConstMatrix x, Scales x_scale, ConstMatrix weight,
                       Scales weight_scale, Matrix out) {
  if (out.rows == 0 || out.cols == 0) return;
  const FewRowsProduct product = product_of(x, x_scale, weight, weight_scale, out, {});
  launch_for_dtypes<false>(stream, x, weight, product);
}

void cuda_multiply_few_silu(cudaStream_t stream, ConstMatrix x, Scales x_scale, ConstMatrix weight,
                            Scales weight_scale, Matrix out, const QuantizedRows& into) {
  if (out.rows == 0 || out.cols == 0) return;
  const FewRowsProduct product = product_of(x, x_scale, weight, weight_scale, out, into);
  launch_for_dtypes<true>(stream, x, weight, product);
}

bool cuda_quantize_multiply_few(cudaStream_t stream, ConstMatrix x, ConstMatrix weight,
                                Scales weight_scale, Matrix out) {
  using Two = Plan<Meeting::e4m3, 1, 1, 2, false, false, true>;
  using TwoLong = Plan<Meeting::e4m3, 1, 1, 2, false, true, true>;
  using Three = Plan<Meeting::e4m3, 1, 1, 3, false, false, true>;
  using Four = Plan<Meeting::e4m3, 1, 1, 4, false, false, true>;
  if (x.rows != 1 || out.cols == 0) return false;
  const FewRowsProduct product = product_of(x, {}, weight, weight_scale, out, {});
  const int room = attribute_of_device(cudaDevAttrMultiProcessorCount) * Two::kColumns;
  if (product.columns > 3 * room && launch_if_fits<Four>(stream, product)) return true;
  if (product.columns > 2 * room && launch_if_fits<Three>(stream, product)) return true;
  if (product.row_bytes > kLongWalk && launch_if_fits<TwoLong>(stream, product)) return true;
  return launch_if_fits<Two>(stream, product);
}

}  // namespace fp8cal
