#include <cuda_bf16.h>

#include <algorithm>
#include <cstdint>

#include "kernels/checks.hpp"
#include "kernels/cuda/few_rows.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/tensor_core.cuh"

// A product with few rows is a walk over the weight: its time is that of reading it. So each warp
// keeps many 16-byte copies under way into a ring of its own in shared memory, from where a thread
// reads the weight that it has copied itself: no warp waits for another. The weight is the larger
// operand of the tensor cores, 16 output columns at a time. A thread's 16 bytes are neighbours
// along k, not what a fragment's registers stand for: but a sum over k does not care which k stands
// where, as long as x is permuted alike.

namespace fp8cal {
namespace {

constexpr int kWarps = 8;       // of a block; they take turns along k
constexpr int kStepBytes = 64;  // of a weight's row, that a warp multiplies at a time
constexpr int kStride = kWarps * kStepBytes;
constexpr int kPieceBytes = 512;      // 16 of each lane
constexpr int kRingBytes = 72 << 10;  // of a block, so that three share a multiprocessor
constexpr int kTileColumns = 16;      // output columns of a fragment
constexpr int kTileRows = 8;          // rows of x of a fragment

/// How the operands meet.
enum class Meeting { bf16, e4m3, mixed };  // mixed: x bf16, weight e4m3

struct Product {
  const std::uint8_t* x;
  const std::uint8_t* weight;
  __nv_bfloat16* out;
  std::size_t x_stride, weight_stride;  // bytes
  std::size_t out_stride;               // elements
  int rows, columns;
  int row_bytes;  // of the weight
  Scales x_scale, weight_scale;
};

/// Starts copying 16 bytes that no other warp reads; zeros where not `exists`.
__device__ __forceinline__ void copy_once(unsigned shared, const std::uint8_t* from, bool exists) {
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;\n" ::"r"(shared), "l"(from),
               "r"(exists ? 16 : 0)
               : "memory");
}

/// The same through the L1 cache, for what other warps read too.
__device__ __forceinline__ void copy_often(unsigned shared, const std::uint8_t* from, bool exists) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 16, %2;\n" ::"r"(shared), "l"(from),
               "r"(exists ? 16 : 0)
               : "memory");
}

/// Two e4m3 in the high bytes of both halves as bf16, exactly: their exponents and significands lie
/// in bf16's 2^120 times too low, subnormal ones included.
__device__ __forceinline__ std::uint32_t widen_pair(std::uint32_t high_bytes) {
  const std::uint32_t low = (high_bytes & 0x80008000u) | ((high_bytes >> 4) & 0x07F007F0u);
  constexpr std::uint32_t kPower = 0x7B807B80u;  // 2^120, twice
  constexpr std::uint32_t kZero = 0x80008000u;   // -0, which changes no summand
  std::uint32_t wide;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;\n" : "=r"(wide) : "r"(low), "r"(kPower), "r"(kZero));
  return wide;
}

/// What a thread holds of one step: of the weight's rows lane / 4 and 8 more, and of x.
template <Meeting meeting, int column_tiles, int row_tiles>
struct Step {
  static constexpr int kXLoads = meeting == Meeting::mixed ? 2 : 1;
  static constexpr int kPieces = 2 * column_tiles + row_tiles * kXLoads;
  static constexpr int kStages =
      std::clamp(kRingBytes / (kWarps * kPieces * kPieceBytes), 3, 8);  // of the ring
  static constexpr int kWarpBytes = kStages * kPieces * kPieceBytes;

  uint4 weight[column_tiles][2];
  uint4 x[row_tiles][kXLoads];
};

/// Where the warps' sums meet.
template <int column_tiles, int row_tiles>
using Shares = float[kTileRows * row_tiles][kTileColumns * column_tiles + 4];

__device__ __forceinline__ std::uint32_t word(const uint4& value, int i) {
  return i == 0 ? value.x : i == 1 ? value.y : i == 2 ? value.z : value.w;
}

template <Meeting meeting, int column_tiles, int row_tiles>
__device__ __forceinline__ void multiply_step(const Step<meeting, column_tiles, row_tiles>& step,
                                              float (&sums)[column_tiles][row_tiles][4]) {
#pragma unroll
  for (int n = 0; n < column_tiles; ++n) {
    const uint4& low = step.weight[n][0];
    const uint4& high = step.weight[n][1];
    if constexpr (meeting == Meeting::mixed) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const std::uint32_t a[4] = {widen_pair(__byte_perm(word(low, i), 0, 0x1404)),
                                    widen_pair(__byte_perm(word(high, i), 0, 0x1404)),
                                    widen_pair(__byte_perm(word(low, i), 0, 0x3424)),
                                    widen_pair(__byte_perm(word(high, i), 0, 0x3424))};
#pragma unroll
        for (int m = 0; m < row_tiles; ++m) {
          const uint4& x = step.x[m][i / 2];
          multiply_add(sums[n][m], a, word(x, i % 2 * 2), word(x, i % 2 * 2 + 1));
        }
      }
    } else {
#pragma unroll
      for (int m = 0; m < row_tiles; ++m) {
        // FP8 tensor cores keep fewer bits of long sums: theirs are short, and added up outside.
        float part[4] = {};
        float(&into)[4] = meeting == Meeting::e4m3 ? part : sums[n][m];
#pragma unroll
        for (int i = 0; i < 4; i += 2) {
          const std::uint32_t a[4] = {word(low, i), word(high, i), word(low, i + 1),
                                      word(high, i + 1)};
          const std::uint32_t b0 = word(step.x[m][0], i), b1 = word(step.x[m][0], i + 1);
          if constexpr (meeting == Meeting::bf16) {
            multiply_add(into, a, b0, b1);
          } else {
            multiply_add_e4m3(into, a, b0, b1);
          }
        }
        if constexpr (meeting == Meeting::e4m3) {
#pragma unroll
          for (int i = 0; i < 4; ++i) sums[n][m][i] += part[i];
        }
      }
    }
  }
}

/// What one warp copies and in which order: its steps along k, of all its columns and rows.
template <Meeting meeting, int column_tiles, int row_tiles>
class Walk {
 public:
  using Step = Step<meeting, column_tiles, row_tiles>;

  __device__ Walk(const Product& p, int first_column, unsigned char* shared_memory)
      : row_bytes_(p.row_bytes), first_(static_cast<int>(threadIdx.x) / 32 * kStepBytes) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    chunk_ = lane % 4 * 16;
    ring_ = shared_memory + threadIdx.x / 32 * Step::kWarpBytes + lane * 16;
#pragma unroll
    for (int i = 0; i < 2 * column_tiles; ++i) {
      const int column = min(first_column + 8 * i + lane / 4, p.columns - 1);
      weight_[i] = p.weight + column * p.weight_stride + chunk_;
    }
#pragma unroll
    for (int m = 0; m < row_tiles; ++m) {
      // Rows that there are not take the last one's place, and nobody reads their results.
      const int row = min(kTileRows * m + lane / 4, p.rows - 1);
      x_[m] = p.x + row * p.x_stride + chunk_ * kXBytes;
      copies_x_[m] = row == kTileRows * m + lane / 4;
      x_lane_[m] = max(row - kTileRows * m, 0) * 4 + lane % 4 - lane;
    }
  }

  __device__ int steps() const { return (row_bytes_ - first_ + kStride - 1) / kStride; }

  /// Starts copying step i, if there is one; a group is closed by who calls.
  __device__ __forceinline__ void copy_weight(int i) const {
    const int at = first_ + i * kStride;
    if (at >= row_bytes_) return;
    unsigned to = static_cast<unsigned>(__cvta_generic_to_shared(stage(i)));
#pragma unroll
    for (int n = 0; n < 2 * column_tiles; ++n, to += kPieceBytes) {
      copy_once(to, weight_[n] + at, at + chunk_ < row_bytes_);
    }
  }
  __device__ __forceinline__ void copy_x(int i) const {
    const int at = first_ + i * kStride;
    if (at >= row_bytes_) return;
    unsigned to =
        static_cast<unsigned>(__cvta_generic_to_shared(stage(i))) + 2 * column_tiles * kPieceBytes;
#pragma unroll
    for (int m = 0; m < row_tiles; ++m) {
#pragma unroll
      for (int part = 0; part < Step::kXLoads; ++part, to += kPieceBytes) {
        if (!copies_x_[m]) continue;
        copy_often(to, x_[m] + at * kXBytes + 16 * part, at + chunk_ < row_bytes_);
      }
    }
  }

  __device__ __forceinline__ Step read(int i) const {
    const auto* from = reinterpret_cast<const uint4*>(stage(i));
    Step step;
#pragma unroll
    for (int n = 0; n < 2 * column_tiles; ++n, from += kPieceBytes / 16) {
      step.weight[n / 2][n % 2] = *from;
    }
#pragma unroll
    for (int m = 0; m < row_tiles; ++m) {
#pragma unroll
      for (int part = 0; part < Step::kXLoads; ++part, from += kPieceBytes / 16) {
        step.x[m][part] = from[x_lane_[m]];
      }
    }
    return step;
  }

 private:
  static constexpr int kXBytes = meeting == Meeting::mixed ? 2 : 1;  // for each of the weight's

  __device__ unsigned char* stage(int i) const {
    return ring_ + i % Step::kStages * (Step::kPieces * kPieceBytes);
  }

  const std::uint8_t* weight_[2 * column_tiles];
  const std::uint8_t* x_[row_tiles];
  bool copies_x_[row_tiles];
  int x_lane_[row_tiles];  // whose copy this lane reads, from its own on
  int row_bytes_, first_, chunk_;
  unsigned char* ring_;
};

/// Adds the warps' sums up in their order, scales and stores.
template <Meeting meeting, int column_tiles, int row_tiles>
__device__ __forceinline__ void store(const Product& p, int first_column,
                                      const Shares<column_tiles, row_tiles>* shares) {
  constexpr int kColumns = kTileColumns * column_tiles;
  constexpr int kRows = kTileRows * row_tiles;
  for (int i = static_cast<int>(threadIdx.x); i < kRows * kColumns; i += 32 * kWarps) {
    const int row = i / kColumns;
    const int column = first_column + i % kColumns;
    if (row >= p.rows || column >= p.columns) continue;
    float sum = 0.0f;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) sum += shares[w][row][i % kColumns];
    if constexpr (meeting != Meeting::bf16) {
      float scale = p.weight_scale.data[p.weight_scale.count == 1 ? 0 : column];
      if (meeting == Meeting::e4m3) scale *= p.x_scale.data[p.x_scale.count == 1 ? 0 : row];
      sum *= scale;
    }
    p.out[row * p.out_stride + column] = __float2bfloat16_rn(sum);
  }
}

/// One block: 16 * column_tiles output columns of all rows.
template <Meeting meeting, int column_tiles, int row_tiles>
__global__ void __launch_bounds__(32 * kWarps) few_rows_kernel(const Product p) {
  extern __shared__ __align__(1024) unsigned char shared_memory[];
  using Step = Step<meeting, column_tiles, row_tiles>;
  const int first_column = static_cast<int>(blockIdx.x) * kTileColumns * column_tiles;
  const Walk<meeting, column_tiles, row_tiles> walk(p, first_column, shared_memory);
#pragma unroll
  for (int i = 0; i < Step::kStages - 1; ++i) walk.copy_weight(i);
  let_next_start();
  wait_for_earlier();  // x may be what the kernel before writes, a weight is not
#pragma unroll
  for (int i = 0; i < Step::kStages - 1; ++i) {
    walk.copy_x(i);
    close_copies();
  }
  float sums[column_tiles][row_tiles][4] = {};
  for (int i = 0; i < walk.steps(); ++i) {
    wait_for_groups<Step::kStages - 2>();
    __syncwarp();  // x is for several lanes
    const Step step = walk.read(i);
    walk.copy_weight(i + Step::kStages - 1);
    walk.copy_x(i + Step::kStages - 1);
    close_copies();
    multiply_step<meeting, column_tiles, row_tiles>(step, sums);
  }
  wait_for_copies();
  __syncthreads();  // nobody reads a ring any more

  auto* shares = reinterpret_cast<Shares<column_tiles, row_tiles>*>(shared_memory);
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
#pragma unroll
  for (int n = 0; n < column_tiles; ++n) {
#pragma unroll
    for (int m = 0; m < row_tiles; ++m) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        shares[warp][kTileRows * m + 2 * (lane % 4) + i % 2]
              [kTileColumns * n + 8 * (i / 2) + lane / 4] = sums[n][m][i];
      }
    }
  }
  __syncthreads();
  store<meeting, column_tiles, row_tiles>(p, first_column, shares);
}

template <Meeting meeting, int column_tiles, int row_tiles>
void launch(cudaStream_t stream, const Product& product) {
  constexpr int kColumns = kTileColumns * column_tiles;
  constexpr int kSharedBytes =
      std::max(kWarps * Step<meeting, column_tiles, row_tiles>::kWarpBytes,
               kWarps * static_cast<int>(sizeof(Shares<column_tiles, row_tiles>)));
  const auto blocks = static_cast<unsigned>((product.columns + kColumns - 1) / kColumns);
  const auto kernel = few_rows_kernel<meeting, column_tiles, row_tiles>;
  FP8CAL_CUDA(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedBytes));
  launch_early(stream, kernel, blocks, 32 * kWarps, kSharedBytes, product);
}

/// More rows of x share what is read of the weight, and then more columns what is read of x.
template <Meeting meeting>
void launch_for_rows(cudaStream_t stream, const Product& product) {
  if (product.rows <= 8) return launch<meeting, 1, 1>(stream, product);
  if (product.rows <= 16) return launch<meeting, 1, 2>(stream, product);
  return launch<meeting, 2, 4>(stream, product);
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
  const Product product{static_cast<const std::uint8_t*>(x.data),
                        static_cast<const std::uint8_t*>(weight.data),
                        static_cast<__nv_bfloat16*>(out.data),
                        x.stride * size_of(x.dtype),
                        weight.stride * size_of(weight.dtype),
                        out.stride,
                        static_cast<int>(out.rows),
                        static_cast<int>(out.cols),
                        static_cast<int>(x.cols * size_of(weight.dtype)),
                        x_scale,
                        weight_scale};
  if (weight.dtype == DType::bf16) return launch_for_rows<Meeting::bf16>(stream, product);
  if (x.dtype == DType::bf16) return launch_for_rows<Meeting::mixed>(stream, product);
  launch_for_rows<Meeting::e4m3>(stream, product);
}

}  // namespace fp8cal
