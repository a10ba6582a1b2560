#include <cuda_bf16.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "kernels/checks.hpp"
#include "kernels/cuda/cached_attention.hpp"
#include "kernels/cuda/cached_tile.cuh"
#include "kernels/cuda/cuda_check.hpp"
#include "kernels/cuda/fp8_code.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/pack.cuh"

// One new token a sequence: its time is that of reading keys and values. A block walks through a
// part of them for one head of k and v, and all the heads of q that share it are the rows of its
// matrix products. Where there are few sequences, several blocks share one, and a second kernel
// puts their parts together.

namespace fp8cal {
namespace {

using bf16 = __nv_bfloat16;

constexpr int kBlocksAHead = 32;  // of one head, over all sequences: 8 heads fill a large GPU
constexpr float kLog2E = 1.44269504f;

struct CachedOperands {
  const bf16* q;                      // [sequences, q_heads * head_dim]
  const std::uint8_t *keys, *values;  // [sequences * capacity, kv_heads * head_dim]
  bf16* out;                          // as q
  std::uint8_t* codes;                // as q, in e4m3, instead of out; null: out
  const float* code_scale;
  const std::uint32_t* positions;                  // [sequences]
  std::int64_t q_stride, out_stride, code_stride;  // elements
  std::int64_t row_bytes;                          // of the cache
  int capacity, split_keys;
  int group;  // heads of q that share one of k and v
  Scales key_scale, value_scale;
  float score_scale;  // log2(e) / sqrt(head_dim)
  float* sums;        // [sequences, q_heads, splits, head_dim]; null: one split
  float2* marks;      // [sequences, q_heads, splits]: exponent and total
};

/// Stores a result, in the column of out that belongs to it.
__device__ __forceinline__ void deliver(const CachedOperands& x, std::int64_t sequence, int column,
                                        const Divisor& divisor, float result) {
  const bf16 rounded = __float2bfloat16_rn(result);
  if (x.codes == nullptr) {
    x.out[sequence * x.out_stride + column] = rounded;
  } else {
    x.codes[sequence * x.code_stride + column] =
        code_of<__NV_E4M3>(__bfloat16_as_ushort(rounded), divisor);
  }
}

/// Of all keys of one split: its largest exponent and the sum of its weights relative to that.
struct Merged {
  float exponent, total;
};

/// Puts the warps' parts of each row together, relative to the largest of their references: sums in
/// shared memory, one after the other for each warp.
template <class T>
__device__ __forceinline__ void merge_warps(WarpRows<T>& rows, float score_scale, float* parts,
                                            Merged (&marks)[T::kWarps][kMostGroup]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float total = rows.total[0][half];
    total += __shfl_xor_sync(0xFFFFFFFFu, total, 1);
    total += __shfl_xor_sync(0xFFFFFFFFu, total, 2);
    const int row = 8 * half + lane / 4;
    marks[warp][row] = {rows.reference[0][half] * score_scale, total};
#pragma unroll
    for (int d = 0; d < T::kHeadDim / 8; ++d) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        parts[(warp * kMostGroup + row) * T::kHeadDim + dimension_of<T>(d, i)] =
            rows.sums[0][d][2 * half + i];
      }
    }
  }
}

template <class T>
__global__ void __launch_bounds__(T::kThreads) cached_attention_kernel(const CachedOperands x) {
  if (x.codes == nullptr) let_next_start();  // else keys and values come before the next weight
  extern __shared__ __align__(1024) unsigned char shared_memory[];
  __shared__ Merged marks[T::kWarps][kMostGroup];
  const unsigned shared = static_cast<unsigned>(__cvta_generic_to_shared(shared_memory));
  const unsigned stages = shared + T::kQueryBytes;
  const int split = static_cast<int>(blockIdx.x);
  const int kv_head = static_cast<int>(blockIdx.y);
  const std::int64_t sequence = blockIdx.z;
  const int warp = static_cast<int>(threadIdx.x) / 32;

  const int first = split * x.split_keys;
  const std::int64_t first_row = sequence * x.capacity + first;
  const std::int64_t column = static_cast<std::int64_t>(kv_head) * T::kRowBytes;
  const std::uint8_t* keys = x.keys + first_row * x.row_bytes + column;
  const std::uint8_t* values = x.values + first_row * x.row_bytes + column;
  wait_for_earlier();
  const int end = min(first + x.split_keys, static_cast<int>(x.positions[sequence]) + 1);
  const int tiles = max(end - first + kTileKeys - 1, 0) / kTileKeys;
  const auto copy_next = [&](int tile) {
    if (tile < tiles) {
      const unsigned stage = stages + tile % T::kStages * T::kStageBytes;
      const int existing = end - first - tile * kTileKeys;
      const std::int64_t bytes = tile * kTileKeys * x.row_bytes;
      copy_tile<T, false>(stage, keys + bytes, x.row_bytes, existing);
      copy_tile<T, true>(stage + T::kTileBytes, values + bytes, x.row_bytes, existing);
    }
    close_copies();
  };
#pragma unroll
  for (int tile = 0; tile < T::kStages - 1; ++tile) copy_next(tile);
  if (x.codes != nullptr) let_next_start();

  const int first_head = kv_head * x.group;
  const Queries<T> queries(x.q + sequence * x.q_stride + first_head * T::kHeadDim, x.group, shared);
  float score_scale = x.score_scale * queries.scale();
  if (T::kF16) score_scale *= x.key_scale.data[x.key_scale.count == 1 ? 0 : kv_head];
  WarpRows<T> rows;
  clear(rows);
  for (int tile = 0; tile < tiles; ++tile) {
    wait_for_groups<T::kStages - 2>();
    __syncthreads();  // this tile is there for all, and nobody reads the one before any more
    copy_next(tile + T::kStages - 1);
    const int first_key = warp * T::kKeys;
    const int visible = end - first - tile * kTileKeys - first_key;
    if (visible <= 0) continue;
    const unsigned stage = stages + tile % T::kStages * T::kStageBytes;
    queries.meet(rows, stage, first_key);
    if (visible < T::kKeys) hide_from(rows, visible);
    raise_references(rows, score_scale);
    meet_values(rows, stage + T::kTileBytes, first_key, score_scale);
  }
  wait_for_copies();
  __syncthreads();

  auto* parts = reinterpret_cast<float*>(shared_memory + T::kQueryBytes);
  merge_warps(rows, score_scale, parts, marks);
  __syncthreads();
  const int heads = static_cast<int>(gridDim.y) * x.group;
  const Divisor divisor(x.codes == nullptr ? 1.0f : *x.code_scale);
  for (int at = static_cast<int>(threadIdx.x); at < x.group * T::kHeadDim; at += T::kThreads) {
    const int row = at / T::kHeadDim;
    const int dim = at % T::kHeadDim;
    float exponent = -INFINITY;
#pragma unroll
    for (int w = 0; w < T::kWarps; ++w) exponent = fmaxf(exponent, marks[w][row].exponent);
    float sum = 0.0f, total = 0.0f;
#pragma unroll
    for (int w = 0; w < T::kWarps; ++w) {
      if (marks[w][row].exponent == -INFINITY) continue;
      const float weight = power_of_two(marks[w][row].exponent - exponent);
      sum = fmaf(weight, parts[(w * kMostGroup + row) * T::kHeadDim + dim], sum);
      total = fmaf(weight, marks[w][row].total, total);
    }
    const int head = first_head + row;
    if (x.sums == nullptr) {
      float result = sum / total;
      if (T::kF16) result *= x.value_scale.data[x.value_scale.count == 1 ? 0 : kv_head];
      deliver(x, sequence, head * T::kHeadDim + dim, divisor, result);
    } else {
      const std::int64_t part = (sequence * heads + head) * gridDim.x + split;
      x.sums[part * T::kHeadDim + dim] = sum;
      if (dim == 0) x.marks[part] = {exponent, total};
    }
  }
}

/// One block a head of q: the splits' parts in their order.
__global__ void merge_splits_kernel(const CachedOperands x, int splits, int head_dim) {
  let_next_start();
  wait_for_earlier();
  __shared__ float weights[kBlocksAHead];
  __shared__ float whole;
  const int head = static_cast<int>(blockIdx.x);
  const std::int64_t sequence = blockIdx.y;
  const int dim = static_cast<int>(threadIdx.x);
  const std::int64_t first = (sequence * gridDim.x + head) * splits;
  const Divisor divisor(x.codes == nullptr ? 1.0f : *x.code_scale);
  float parts[kBlocksAHead];  // all read at once
#pragma unroll
  for (int s = 0; s < kBlocksAHead; ++s) {
    parts[s] = s < splits ? x.sums[(first + s) * head_dim + dim] : 0.0f;
  }
  if (dim < 32) {
    static_assert(kBlocksAHead == 32);
    const float2 mark = dim < splits ? x.marks[first + dim] : float2{-INFINITY, 0.0f};
    float exponent = mark.x;
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
      exponent = fmaxf(exponent, __shfl_xor_sync(0xFFFFFFFFu, exponent, distance));
    }
    const float weight = mark.x == -INFINITY ? 0.0f : power_of_two(mark.x - exponent);
    float total = weight * mark.y;
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
      total += __shfl_xor_sync(0xFFFFFFFFu, total, distance);
    }
    weights[dim] = weight;
    if (dim == 0) whole = total;
  }
  __syncthreads();
  float sum = 0.0f;
#pragma unroll
  for (int s = 0; s < kBlocksAHead; ++s) sum = fmaf(weights[s], parts[s], sum);
  float result = sum / whole;
  if (x.value_scale.data != nullptr) {
    result *= x.value_scale.data[x.value_scale.count == 1 ? 0 : head / x.group];
  }
  deliver(x, sequence, head * head_dim + dim, divisor, result);
}

template <int head_dim, DType format>
void launch(cudaStream_t stream, const CachedOperands& operands, dim3 grid) {
  using T = CachedTile<head_dim, format>;
  const auto kernel = cached_attention_kernel<T>;
  FP8CAL_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   T::shared_bytes(T::kStages)));
  launch_early(stream, kernel, grid, T::kThreads, T::shared_bytes(operands.split_keys / kTileKeys),
               operands);
  if (grid.x == 1) return;
  const dim3 heads(grid.y * static_cast<unsigned>(operands.group), grid.z);
  launch_early(stream, merge_splits_kernel, heads, head_dim, 0, operands, static_cast<int>(grid.x),
               head_dim);
}

template <int head_dim>
void launch_for_format(cudaStream_t stream, const CachedOperands& operands, dim3 grid,
                       DType format) {
  if (format == DType::bf16) return launch<head_dim, DType::bf16>(stream, operands, grid);
  if (format == DType::e4m3) return launch<head_dim, DType::e4m3>(stream, operands, grid);
  launch<head_dim, DType::e5m2>(stream, operands, grid);
}

}  // namespace

float* CudaCachedAttention::reserve(std::size_t floats) {
  if (floats > partials_count_) {
    partials_ = allocate_device_memory(floats * sizeof(float));
    partials_count_ = floats;
  }
  return static_cast<float*>(partials_.get());
}

void CudaCachedAttention::run(cudaStream_t stream, ConstMatrix q, const KvCache& cache,
                              const std::uint32_t* positions, std::size_t head_dim, Matrix out,
                              Matrix codes, const float* scale) {
  constexpr std::size_t kLargestYZ = 65535;  // of a grid
  expect_multiple("cached_attention: columns of q", q.cols, head_dim);
  expect_multiple("cached_attention: columns of keys", cache.keys.cols, head_dim);
  const std::size_t sequences = cache.sequences();
  const std::size_t q_heads = q.cols / head_dim;
  const std::size_t kv_heads = cache.keys.cols / head_dim;
  expect_cache("cached_attention:", cache, cache.keys.cols, kv_heads);
  expect_matrix("cached_attention: q", q, sequences, q.cols);
  expect_matrix("cached_attention: out", out, sequences, q.cols);
  if (codes.data != nullptr) {
    expect_matrix("cached_attention: codes", codes, sequences, q.cols, DType::e4m3);
  }
  if (sequences == 0 || q_heads == 0) return;
  expect_multiple("cached_attention: heads of q", q_heads, kv_heads);
  expect_at_most("cached_attention: heads of q for one of k", q_heads / kv_heads, kMostGroup);
  expect_at_most("cached_attention: capacity", cache.capacity, std::size_t{1} << 30);
  expect_at_most("cached_attention: sequences", sequences, kLargestYZ);
  expect_at_most("cached_attention: heads of k", kv_heads, kLargestYZ);
  if (!rows_aligned(cache.keys, 16) || !rows_aligned(cache.values, 16)) {
    throw std::invalid_argument("cached_attention: cache: expected rows at multiples of 16 bytes");
  }

  const std::size_t tiles = ceil_divide(cache.capacity, kTileKeys);
  const std::size_t wanted = std::min(ceil_divide(kBlocksAHead, sequences), tiles);
  const std::size_t split_tiles = ceil_divide(tiles, wanted);
  const std::size_t splits = ceil_divide(tiles, split_tiles);
  const std::size_t parts = splits > 1 ? sequences * q_heads * splits : 0;
  float* partials = parts > 0 ? reserve(parts * (head_dim + 2)) : nullptr;
  const CachedOperands operands{
      static_cast<const bf16*>(q.data),
      static_cast<const std::uint8_t*>(cache.keys.data),
      static_cast<const std::uint8_t*>(cache.values.data),
      static_cast<bf16*>(out.data),
      static_cast<std::uint8_t*>(codes.data),
      scale,
      positions,
      static_cast<std::int64_t>(q.stride),
      static_cast<std::int64_t>(out.stride),
      static_cast<std::int64_t>(codes.stride),
      static_cast<std::int64_t>(cache.keys.cols * size_of(cache.keys.dtype)),
      static_cast<int>(cache.capacity),
      static_cast<int>(split_tiles * kTileKeys),
      static_cast<int>(q_heads / kv_heads),
      cache.key_scale,
      cache.value_scale,
      kLog2E / std::sqrt(static_cast<float>(head_dim)),
      partials,
      reinterpret_cast<float2*>(partials + parts * head_dim)};
  const dim3 grid(static_cast<unsigned>(splits), static_cast<unsigned>(kv_heads),
                  static_cast<unsigned>(sequences));
  switch (head_dim) {
    case 32:
      return launch_for_format<32>(stream, operands, grid, cache.keys.dtype);
    case 64:
      return launch_for_format<64>(stream, operands, grid, cache.keys.dtype);
    case 128:
      return launch_for_format<128>(stream, operands, grid, cache.keys.dtype);
  }
  throw std::invalid_argument("cached_attention: head_dim: expected 32, 64 or 128, found " +
                              std::to_string(head_dim));
}

}  // namespace fp8cal
