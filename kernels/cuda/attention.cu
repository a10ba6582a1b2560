#include <cuda_bf16.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "kernels/checks.hpp"
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/cuda_check.hpp"

namespace fp8cal {
namespace {

using bf16 = __nv_bfloat16;

/// Dimensions of one block's work. A warp takes 32 query rows rather than 16: every K and V
/// fragment then feeds two products, which halves the shared memory traffic that would bound it.
template <int head_dim>
struct Tile {
  static constexpr int kHeadDim = head_dim;
  static constexpr int kWarps = 4;
  static constexpr int kThreads = 32 * kWarps;
  static constexpr int kBlocksPerSm = 2;
  static constexpr int kRowTiles = 2;  // of 16 query rows, a warp
  static constexpr int kWarpRows = 16 * kRowTiles;
  static constexpr int kQueries = kWarps * kWarpRows;
  static constexpr int kKeys = 64;
  static constexpr bool kF16 = false;
  static constexpr int kDepthSteps = kHeadDim / 16;
  static constexpr int kRowBytes = 2 * kHeadDim;
  static constexpr int kQueryBytes = kQueries * kRowBytes;
  static constexpr int kKeyBytes = kKeys * kRowBytes;
  static constexpr int kStageBytes = 2 * kKeyBytes;  // K, then V
  static constexpr int kSharedBytes = kQueryBytes + 2 * kStageBytes;
};

struct Operands {
  const bf16* q;  // [sequences * queries, q_heads * head_dim]
  const bf16* k;  // [tokens, kv_heads * head_dim]
  const bf16* v;  // [tokens, kv_heads * head_dim]
  bf16* out;      // as q
  std::int64_t q_stride, k_stride, v_stride, out_stride;
  int length;         // of a sequence
  int queries;        // of a sequence: its last rows
  int group;          // heads of q that share one of k and v
  float score_scale;  // log2(e) / sqrt(head_dim): probabilities are powers of two
};

/// out = sums / total of the first `existing` of this warp's rows.
template <class T, bool aligned>
__device__ __forceinline__ void store(WarpRows<T>& rows, bf16* out, std::int64_t stride,
                                      int existing) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int m = 0; m < T::kRowTiles; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float total = rows.total[m][half];
      total += __shfl_xor_sync(0xFFFFFFFFu, total, 1);
      total += __shfl_xor_sync(0xFFFFFFFFu, total, 2);
      const int row = 16 * m + 8 * half + lane / 4;
      if (row >= existing) continue;
      const float inverse = 1.0f / total;
      bf16* to = out + row * stride + 2 * (lane % 4);
#pragma unroll
      for (int d = 0; d < T::kHeadDim / 8; ++d) {
        const float* sums = rows.sums[m][d] + 2 * half;
        const __nv_bfloat162 pair = __floats2bfloat162_rn(sums[0] * inverse, sums[1] * inverse);
        if constexpr (aligned) {
          *reinterpret_cast<__nv_bfloat162*>(to + 8 * d) = pair;
        } else {
          to[8 * d] = pair.x;
          to[8 * d + 1] = pair.y;
        }
      }
    }
  }
}

/// One block: T::kQueries query rows of one head of one sequence, over tiles of T::kKeys keys in
/// order. The next tile is copied while this one is computed; long blocks come first in the grid.
template <class T, bool aligned>
__global__ void __launch_bounds__(T::kThreads, T::kBlocksPerSm) attention_kernel(const Operands x) {
  extern __shared__ __align__(1024) unsigned char shared_memory[];
  const unsigned queries = static_cast<unsigned>(__cvta_generic_to_shared(shared_memory));
  const unsigned stages = queries + T::kQueryBytes;

  const int head = static_cast<int>(blockIdx.y);
  const int first_query = static_cast<int>(gridDim.z - 1 - blockIdx.z) * T::kQueries;
  const std::int64_t first_token = static_cast<std::int64_t>(blockIdx.x) * x.length;
  const std::int64_t first_q = static_cast<std::int64_t>(blockIdx.x) * x.queries;
  const int earlier = x.length - x.queries;  // position of the first query
  const int column = head * T::kHeadDim;
  const int kv_column = head / x.group * T::kHeadDim;
  const bf16* keys = x.k + first_token * x.k_stride + kv_column;
  const bf16* values = x.v + first_token * x.v_stride + kv_column;

  const int warp = __shfl_sync(0xFFFFFFFFu, static_cast<int>(threadIdx.x) / 32, 0);  // uniform
  const int warp_row = warp * T::kWarpRows;
  const int first_row = first_query + warp_row;
  const unsigned warp_queries = queries + warp_row * T::kRowBytes;
  const int end = min(earlier + first_query + T::kQueries, x.length);

  const auto copy_next = [&](int key) {
    const unsigned stage = stages + key / T::kKeys % 2 * T::kStageBytes;
    copy_rows<T, T::kKeys, aligned>(stage, keys, x.k_stride, x.length - key);
    copy_rows<T, T::kKeys, aligned>(stage + T::kKeyBytes, values, x.v_stride, x.length - key);
    keys += T::kKeys * x.k_stride;
    values += T::kKeys * x.v_stride;
  };

  copy_rows<T, T::kQueries, aligned>(queries, x.q + (first_q + first_query) * x.q_stride + column,
                                     x.q_stride, x.queries - first_query);
  copy_next(0);
  WarpRows<T> rows;
  clear(rows);
  for (int key = 0; key < end; key += T::kKeys) {
    wait_for_copies();
    __syncthreads();  // this tile is there for all, and nobody reads the one before any more
    if (key + T::kKeys < end) copy_next(key + T::kKeys);
    const int distance = earlier + first_row - key;
    if (distance + T::kWarpRows <= 0 || first_row >= x.queries) continue;
    const unsigned stage = stages + key / T::kKeys % 2 * T::kStageBytes;
    multiply_keys(rows, warp_queries, stage);
    if (distance < T::kKeys - 1) hide_later_keys(rows, distance);
    raise_references(rows, x.score_scale);
    multiply_values(rows, stage + T::kKeyBytes, x.score_scale);
  }
  store<T, aligned>(rows, x.out + (first_q + first_row) * x.out_stride + column, x.out_stride,
                    x.queries - first_row);
}

template <class T, bool aligned>
void launch(cudaStream_t stream, const Operands& operands, std::size_t sequences,
            std::size_t heads) {
  constexpr std::size_t kLargestX = 0x7FFFFFFF, kLargestYZ = 65535;  // of a grid
  expect_at_most("attention: sequences", sequences, kLargestX);
  expect_at_most("attention: heads of q", heads, kLargestYZ);
  const auto blocks = static_cast<unsigned>((operands.queries + T::kQueries - 1) / T::kQueries);
  const dim3 grid(static_cast<unsigned>(sequences), static_cast<unsigned>(heads), blocks);
  const auto kernel = attention_kernel<T, aligned>;
  FP8CAL_CUDA(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, T::kSharedBytes));
  kernel<<<grid, T::kThreads, T::kSharedBytes, stream>>>(operands);
  FP8CAL_CUDA(cudaGetLastError());
}

/// Every row starts on 16 bytes.
bool is_aligned(const ConstMatrix& x) {
  return reinterpret_cast<std::uintptr_t>(x.data) % 16 == 0 && x.stride % 8 == 0;
}

}  // namespace

void cuda_attention(cudaStream_t stream, ConstMatrix q, ConstMatrix k, ConstMatrix v,
                    std::size_t head_dim, std::size_t sequence_length, Matrix out) {
  expect_multiple("attention: columns of q", q.cols, head_dim);
  expect_multiple("attention: columns of k", k.cols, head_dim);
  const std::size_t q_heads = q.cols / head_dim;
  const std::size_t kv_heads = k.cols / head_dim;
  expect_matrix("attention: q", q, q.rows, q.cols);
  expect_matrix("attention: k", k, k.rows, k.cols);
  expect_matrix("attention: v", v, k.rows, k.cols);
  expect_matrix("attention: out", out, q.rows, q.cols);
  if (q_heads == 0 || q.rows == 0) return;
  expect_multiple("attention: heads of q", q_heads, kv_heads);
  expect_multiple("attention: rows of k", k.rows, sequence_length);
  const std::size_t sequences = std::max<std::size_t>(k.rows / sequence_length, 1);
  expect_multiple("attention: rows of q", q.rows, sequences);
  const std::size_t queries = q.rows / sequences;
  expect_at_most("attention: rows of q in a sequence", queries, sequence_length);
  expect_at_most("attention: sequence length", sequence_length, 65535 * Tile<32>::kQueries);
  const Operands operands{
      static_cast<const bf16*>(q.data),     static_cast<const bf16*>(k.data),
      static_cast<const bf16*>(v.data),     static_cast<bf16*>(out.data),
      static_cast<std::int64_t>(q.stride),  static_cast<std::int64_t>(k.stride),
      static_cast<std::int64_t>(v.stride),  static_cast<std::int64_t>(out.stride),
      static_cast<int>(sequence_length),    static_cast<int>(queries),
      static_cast<int>(q_heads / kv_heads), 1.44269504f / std::sqrt(static_cast<float>(head_dim))};
  const bool aligned = is_aligned(q) && is_aligned(k) && is_aligned(v) && is_aligned(out);
  const auto start = [&]<int dim>(std::integral_constant<int, dim>) {
    const auto chosen = aligned ? launch<Tile<dim>, true> : launch<Tile<dim>, false>;
    chosen(stream, operands, sequences, q_heads);
  };
  switch (head_dim) {
    case 32:
      return start(std::integral_constant<int, 32>());
    case 64:
      return start(std::integral_constant<int, 64>());
    case 128:
      return start(std::integral_constant<int, 128>());
  }
  throw std::invalid_argument("attention: head_dim: expected 32, 64 or 128, found " +
                              std::to_string(head_dim));
}

}  // namespace fp8cal
