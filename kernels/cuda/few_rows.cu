#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/checks.hpp"
#include "kernels/cuda/few_rows.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/tensor_core.cuh"

// A product with few rows is a walk over the weight: its time is that of reading it. So the weight
// goes from memory to registers in 16-byte loads, as the larger operand of the tensor cores (16
// output columns at a time), and never through shared memory. A thread's 16 bytes are neighbours
// along k, not what a fragment's registers stand for: but a sum over k does not care which k stands
// where, as long as x is permuted alike.

namespace fp8cal {
namespace {

constexpr int kWarps = 8;         // of a block; they take turns along k
constexpr int kStepBytes = 64;    // of a weight's row, that a warp multiplies at a time
constexpr int kUnroll = 4;        // steps whose loads are under way together
constexpr int kTileColumns = 16;  // output columns of a fragment
constexpr int kTileRows = 8;      // rows of x of a fragment

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

__device__ __forceinline__ uint4 load_once(const std::uint8_t* from) {
  uint4 value;
  asm("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0, %1, %2, %3}, [%4];\n"
      : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
      : "l"(from));
  return value;
}

__device__ __forceinline__ uint4 load_often(const std::uint8_t* from) {
  return __ldg(reinterpret_cast<const uint4*>(from));
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
  uint4 weight[column_tiles][2];
  uint4 x[row_tiles][kXLoads];
};

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

/// One block: 16 * column_tiles output columns of all rows.
template <Meeting meeting, int column_tiles, int row_tiles>
__global__ void __launch_bounds__(32 * kWarps) few_rows_kernel(const Product p) {
  using Step = Step<meeting, column_tiles, row_tiles>;
  constexpr int kColumns = kTileColumns * column_tiles;
  constexpr int kRows = kTileRows * row_tiles;
  constexpr int kXBytes = meeting == Meeting::mixed ? 2 : 1;  // for each of the weight's

  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int first_column = static_cast<int>(blockIdx.x) * kColumns;
  const int chunk = lane % 4 * 16;  // bytes of a step

  const std::uint8_t* weight[column_tiles][2];
#pragma unroll
  for (int n = 0; n < column_tiles; ++n) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int column = first_column + kTileColumns * n + 8 * half + lane / 4;
      weight[n][half] = p.weight + min(column, p.columns - 1) * p.weight_stride + chunk;
    }
  }
  const std::uint8_t* x[row_tiles];
#pragma unroll
  for (int m = 0; m < row_tiles; ++m) {
    // Rows that there are not give results that nobody reads.
    const int row = min(kTileRows * m + lane / 4, p.rows - 1);
    x[m] = p.x + row * p.x_stride + chunk * kXBytes;
  }
  const auto load = [&](Step& step, int at) {
#pragma unroll
    for (int n = 0; n < column_tiles; ++n) {
#pragma unroll
      for (int half = 0; half < 2; ++half) step.weight[n][half] = load_once(weight[n][half] + at);
    }
#pragma unroll
    for (int m = 0; m < row_tiles; ++m) {
#pragma unroll
      for (int i = 0; i < Step::kXLoads; ++i) {
        step.x[m][i] = load_often(x[m] + at * kXBytes + 16 * i);
      }
    }
  };

  float sums[column_tiles][row_tiles][4] = {};
  constexpr int kStride = kWarps * kStepBytes;
  constexpr int kDepth = column_tiles * row_tiles > 2 ? kUnroll / 2 : kUnroll;
  int at = warp * kStepBytes;
  for (; at + (kDepth - 1) * kStride + kStepBytes <= p.row_bytes; at += kDepth * kStride) {
    Step steps[kDepth];
#pragma unroll
    for (int i = 0; i < kDepth; ++i) load(steps[i], at + i * kStride);
#pragma unroll
    for (const Step& step : steps) {
      multiply_step<meeting, column_tiles, row_tiles>(step, sums);
    }
  }
  for (; at < p.row_bytes; at += kStride) {
    Step step{};
    if (at + chunk < p.row_bytes) load(step, at);
    multiply_step<meeting, column_tiles, row_tiles>(step, sums);
  }

  __shared__ float shares[kWarps][kRows][kColumns + 4];
#pragma unroll
  for (int n = 0; n < column_tiles; ++n) {
#pragma unroll
    for (int m = 0; m < row_tiles; ++m) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int column = kTileColumns * n + 8 * (i / 2) + lane / 4;
        const int row = kTileRows * m + 2 * (lane % 4) + i % 2;
        shares[warp][row][column] = sums[n][m][i];
      }
    }
  }
  __syncthreads();
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

template <Meeting meeting, int column_tiles, int row_tiles>
void launch(cudaStream_t stream, const Product& product) {
  constexpr int kColumns = kTileColumns * column_tiles;
  const auto blocks = static_cast<unsigned>((product.columns + kColumns - 1) / kColumns);
  few_rows_kernel<meeting, column_tiles, row_tiles><<<blocks, 32 * kWarps, 0, stream>>>(product);
  FP8CAL_CUDA(cudaGetLastError());
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
