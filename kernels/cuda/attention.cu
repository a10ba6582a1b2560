#include <cuda_bf16.h>

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "kernels/checks.hpp"
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/cuda_check.hpp"
#include "kernels/cuda/tensor_core.cuh"

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
  static constexpr int kDepthSteps = kHeadDim / 16;
  static constexpr int kRowBytes = 2 * kHeadDim;
  static constexpr int kQueryBytes = kQueries * kRowBytes;
  static constexpr int kKeyBytes = kKeys * kRowBytes;
  static constexpr int kStageBytes = 2 * kKeyBytes;  // K, then V
  static constexpr int kSharedBytes = kQueryBytes + 2 * kStageBytes;
};

struct Operands {
  const bf16* q;  // [tokens, q_heads * head_dim]
  const bf16* k;  // [tokens, kv_heads * head_dim]
  const bf16* v;  // [tokens, kv_heads * head_dim]
  bf16* out;      // [tokens, q_heads * head_dim]
  std::int64_t q_stride, k_stride, v_stride, out_stride;
  int length;         // of a sequence
  int group;          // heads of q that share one of k and v
  float score_scale;  // log2(e) / sqrt(head_dim): probabilities are powers of two
};

/// Where the 16-byte chunk of a row lies in a tile of rows in shared memory. The exclusive or
/// spreads the eight rows that an ldmatrix reads over all banks.
template <class T>
__device__ __forceinline__ unsigned chunk_offset(int row, int chunk) {
  const int swizzle = T::kRowBytes >= 128 ? row & 7 : (row >> 1) & 3;
  return static_cast<unsigned>(row * T::kRowBytes + ((chunk ^ swizzle) << 4));
}

/// Starts copying `count` rows of head_dim elements to shared memory; rows from `existing` on
/// become zeros, so that a probability of zero never meets a stale NaN.
template <class T, int count, bool aligned>
__device__ __forceinline__ void copy_rows(unsigned shared, const bf16* source, std::int64_t stride,
                                          int existing) {
  constexpr int kChunks = T::kRowBytes / 16;
  constexpr int kStep = T::kThreads / kChunks;
  static_assert(count % kStep == 0);
  const int thread = fresh_thread_index();
  const int first = thread / kChunks;
  const int chunk = thread % kChunks;
  const bf16* from = source + first * stride + chunk * 8;
#pragma unroll
  for (int i = 0; i < count / kStep; ++i, from += kStep * stride) {
    const int row = first + i * kStep;
    const bool exists = row < existing;
    const unsigned to = shared + chunk_offset<T>(row, chunk);
    if constexpr (aligned) {
      copy_async(to, from, exists);
    } else {
      copy_narrow(to, from, exists);
    }
  }
}

/// The rows of one warp. A thread holds, of row tile m, the rows lane / 4 and 8 more ("halves" 0
/// and 1), and of every 8 columns the two from 2 * (lane % 4) on.
template <class T>
struct WarpRows {
  float scores[T::kRowTiles][T::kKeys / 8][4];
  float sums[T::kRowTiles][T::kHeadDim / 8][4];
  float reference[T::kRowTiles][2];  // the score whose weight is 1
  float total[T::kRowTiles][2];      // of this thread's weights
};

template <class T>
__device__ __forceinline__ void clear(WarpRows<T>& rows) {
#pragma unroll
  for (int m = 0; m < T::kRowTiles; ++m) {
#pragma unroll
    for (int d = 0; d < T::kHeadDim / 8; ++d) {
#pragma unroll
      for (float& sum : rows.sums[m][d]) sum = 0.0f;
    }
    rows.reference[m][0] = rows.reference[m][1] = -INFINITY;
    rows.total[m][0] = rows.total[m][1] = 0.0f;
  }
}

/// scores = q k^T. `queries`: this warp's rows in shared memory.
template <class T>
__device__ __forceinline__ void multiply_keys(WarpRows<T>& rows, unsigned queries, unsigned keys) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const unsigned query_lane = queries + chunk_offset<T>(lane & 15, lane >> 4);
  const unsigned key_lane =
      keys + chunk_offset<T>((lane & 7) | ((lane >> 4) << 3), (lane >> 3) & 1);
#pragma unroll
  for (int m = 0; m < T::kRowTiles; ++m) {
#pragma unroll
    for (int n = 0; n < T::kKeys / 8; ++n) {
#pragma unroll
      for (float& score : rows.scores[m][n]) score = 0.0f;
    }
  }
#pragma unroll
  for (int step = 0; step < T::kDepthSteps; ++step) {
    std::uint32_t a[T::kRowTiles][4];
#pragma unroll
    for (int m = 0; m < T::kRowTiles; ++m) {
      load_fragments(a[m], (query_lane ^ (step * 32)) + m * 16 * T::kRowBytes);
    }
#pragma unroll
    for (int n = 0; n < T::kKeys / 16; ++n) {
      std::uint32_t b[4];
      load_fragments(b, (key_lane ^ (step * 32)) + n * 16 * T::kRowBytes);
#pragma unroll
      for (int m = 0; m < T::kRowTiles; ++m) {
        multiply_add(rows.scores[m][2 * n], a[m], b[0], b[1]);
        multiply_add(rows.scores[m][2 * n + 1], a[m], b[2], b[3]);
      }
    }
  }
}

/// Hides keys behind their query. `distance`: the warp's first row less the tile's first key.
template <class T>
__device__ __forceinline__ void hide_later_keys(WarpRows<T>& rows, int distance) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int last_visible = distance + lane / 4 - 2 * (lane % 4);
#pragma unroll
  for (int m = 0; m < T::kRowTiles; ++m) {
#pragma unroll
    for (int n = 0; n < T::kKeys / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int column = 8 * n + i % 2;
        const int row = 16 * m + 8 * (i / 2);
        if (column > last_visible + row) rows.scores[m][n][i] = -INFINITY;
      }
    }
  }
}

/// Raises the rows' references where the new scores leave them far behind. A weight may grow to
/// 2^8 before that: no harm to a floating-point number, and the sums are rarely rescaled. Each row
/// decides for itself; where only its neighbours are rescaled it is multiplied by exactly 1.
template <class T>
__device__ __forceinline__ void raise_references(WarpRows<T>& rows, float score_scale) {
  constexpr float kLargestExponent = 8.0f;
  float correction[T::kRowTiles][2];
  bool any = false;
#pragma unroll
  for (int m = 0; m < T::kRowTiles; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float top = -INFINITY;
#pragma unroll
      for (int n = 0; n < T::kKeys / 8; ++n) {
        top = fmaxf(top, fmaxf(rows.scores[m][n][2 * half], rows.scores[m][n][2 * half + 1]));
      }
      top = fmaxf(top, __shfl_xor_sync(0xFFFFFFFFu, top, 1));
      top = fmaxf(top, __shfl_xor_sync(0xFFFFFFFFu, top, 2));
      float& reference = rows.reference[m][half];
      const float exponent = (reference - top) * score_scale;
      const bool raise = exponent < -kLargestExponent;
      correction[m][half] = raise ? power_of_two(exponent) : 1.0f;
      if (raise) reference = top;
      any |= raise;
    }
  }
  if (!__any_sync(0xFFFFFFFFu, any)) return;
#pragma unroll
  for (int m = 0; m < T::kRowTiles; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) rows.total[m][half] *= correction[m][half];
#pragma unroll
    for (int d = 0; d < T::kHeadDim / 8; ++d) {
#pragma unroll
      for (int i = 0; i < 4; ++i) rows.sums[m][d][i] *= correction[m][i / 2];
    }
  }
}

/// weights = 2^(score_scale * (scores - reference)) in bf16, of the 16 keys of `step`.
template <class T>
__device__ __forceinline__ void weigh(WarpRows<T>& rows, int step, float score_scale,
                                      std::uint32_t (&weights)[T::kRowTiles][4]) {
#pragma unroll
  for (int m = 0; m < T::kRowTiles; ++m) {
#pragma unroll
    for (int part = 0; part < 4; ++part) {
      const int half = part % 2;
      const float offset = -rows.reference[m][half] * score_scale;
      const float* pair = rows.scores[m][2 * step + part / 2] + 2 * half;
      const float low = power_of_two(fmaf(pair[0], score_scale, offset));
      const float high = power_of_two(fmaf(pair[1], score_scale, offset));
      rows.total[m][half] += low + high;
      weights[m][part] = pack(low, high);
    }
  }
}

/// sums += weights v.
template <class T>
__device__ __forceinline__ void multiply_values(WarpRows<T>& rows, unsigned values,
                                                float score_scale) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const unsigned value_lane = values + chunk_offset<T>(lane & 15, lane >> 4);
#pragma unroll
  for (int step = 0; step < T::kKeys / 16; ++step) {
    std::uint32_t weights[T::kRowTiles][4];
    weigh(rows, step, score_scale, weights);
#pragma unroll
    for (int d = 0; d < T::kHeadDim / 16; ++d) {
      std::uint32_t b[4];
      load_transposed(b, (value_lane ^ (d * 32)) + step * 16 * T::kRowBytes);
#pragma unroll
      for (int m = 0; m < T::kRowTiles; ++m) {
        multiply_add(rows.sums[m][2 * d], weights[m], b[0], b[1]);
        multiply_add(rows.sums[m][2 * d + 1], weights[m], b[2], b[3]);
      }
    }
  }
}

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
  const int column = head * T::kHeadDim;
  const int kv_column = head / x.group * T::kHeadDim;
  const bf16* keys = x.k + first_token * x.k_stride + kv_column;
  const bf16* values = x.v + first_token * x.v_stride + kv_column;

  const int warp = __shfl_sync(0xFFFFFFFFu, static_cast<int>(threadIdx.x) / 32, 0);  // uniform
  const int warp_row = warp * T::kWarpRows;
  const int first_row = first_query + warp_row;
  const unsigned warp_queries = queries + warp_row * T::kRowBytes;
  const int end = min(first_query + T::kQueries, x.length);

  const auto copy_next = [&](int key) {
    const unsigned stage = stages + key / T::kKeys % 2 * T::kStageBytes;
    copy_rows<T, T::kKeys, aligned>(stage, keys, x.k_stride, x.length - key);
    copy_rows<T, T::kKeys, aligned>(stage + T::kKeyBytes, values, x.v_stride, x.length - key);
    keys += T::kKeys * x.k_stride;
    values += T::kKeys * x.v_stride;
  };

  copy_rows<T, T::kQueries, aligned>(queries,
                                     x.q + (first_token + first_query) * x.q_stride + column,
                                     x.q_stride, x.length - first_query);
  copy_next(0);
  WarpRows<T> rows;
  clear(rows);
  for (int key = 0; key < end; key += T::kKeys) {
    wait_for_copies();
    __syncthreads();  // this tile is there for all, and nobody reads the one before any more
    if (key + T::kKeys < end) copy_next(key + T::kKeys);
    const int distance = first_row - key;
    if (distance + T::kWarpRows <= 0 || first_row >= x.length) continue;
    const unsigned stage = stages + key / T::kKeys % 2 * T::kStageBytes;
    multiply_keys(rows, warp_queries, stage);
    if (distance < T::kKeys - 1) hide_later_keys(rows, distance);
    raise_references(rows, x.score_scale);
    multiply_values(rows, stage + T::kKeyBytes, x.score_scale);
  }
  store<T, aligned>(rows, x.out + (first_token + first_row) * x.out_stride + column, x.out_stride,
                    x.length - first_row);
}

void expect_at_most(const char* name, std::size_t value, std::size_t limit) {
  if (value <= limit) return;
  throw std::invalid_argument(std::string(name) + ": expected at most " + std::to_string(limit) +
                              ", found " + std::to_string(value));
}

template <class T, bool aligned>
void launch(cudaStream_t stream, const Operands& operands, std::size_t sequences,
            std::size_t heads) {
  constexpr std::size_t kLargestX = 0x7FFFFFFF, kLargestYZ = 65535;  // of a grid
  expect_at_most("attention: sequences", sequences, kLargestX);
  expect_at_most("attention: heads of q", heads, kLargestYZ);
  const auto blocks = static_cast<unsigned>((operands.length + T::kQueries - 1) / T::kQueries);
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
  expect_matrix("attention: k", k, q.rows, k.cols);
  expect_matrix("attention: v", v, q.rows, k.cols);
  expect_matrix("attention: out", out, q.rows, q.cols);
  if (q_heads == 0 || q.rows == 0) return;
  expect_multiple("attention: heads of q", q_heads, kv_heads);
  expect_multiple("attention: rows", q.rows, sequence_length);
  expect_at_most("attention: sequence length", sequence_length, 65535 * Tile<32>::kQueries);
  const Operands operands{static_cast<const bf16*>(q.data),
                          static_cast<const bf16*>(k.data),
                          static_cast<const bf16*>(v.data),
                          static_cast<bf16*>(out.data),
                          static_cast<std::int64_t>(q.stride),
                          static_cast<std::int64_t>(k.stride),
                          static_cast<std::int64_t>(v.stride),
                          static_cast<std::int64_t>(out.stride),
                          static_cast<int>(sequence_length),
                          static_cast<int>(q_heads / kv_heads),
                          1.44269504f / std::sqrt(static_cast<float>(head_dim))};
  const bool aligned = is_aligned(q) && is_aligned(k) && is_aligned(v) && is_aligned(out);
  const auto start = [&]<int dim>(std::integral_constant<int, dim>) {
    const auto chosen = aligned ? launch<Tile<dim>, true> : launch<Tile<dim>, false>;
    chosen(stream, operands, q.rows / sequence_length, q_heads);
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
