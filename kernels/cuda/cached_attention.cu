#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "kernels/checks.hpp"
#include "kernels/cuda/cached_attention.hpp"
#include "kernels/cuda/cached_merge.cuh"
#include "kernels/cuda/cached_operands.cuh"
#include "kernels/cuda/cached_tile.cuh"
#include "kernels/cuda/cached_token.cuh"
#include "kernels/cuda/cuda_check.hpp"
#include "kernels/cuda/last_block.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/pack.cuh"

// One new token a sequence: its time is that of reading keys and values. A block walks through a
// part of them for one head of k and v, and all the heads of q that share it are the rows of its
// matrix products. Where there are few sequences, several blocks share one, and the last of them
// puts their parts together.
//
// Where the token's own key and value are not in the cache yet, the block that has their place
// keeps them. It does not wait until they are there: no other block reads that row, and this one
// has it in shared memory.

namespace fp8cal {
namespace {

using Bf16 = std::uint16_t;

constexpr int kBlocksPerHead = 32;  // of one head, over all sequences: 8 heads fill a large GPU
static_assert(kBlocksPerHead <= kMostSplits);
constexpr std::size_t kFewestTiles = 2;  // of a block
constexpr float kLog2E = 1.44269504f;

/// The part of a sequence that a block walks through.
struct Walk {
  int first, end;  // positions
  int tiles;
  bool appends;  // the last position is the token's own, which is not in the cache yet

  __device__ int in_cache() const { return end - first - (appends ? 1 : 0); }
};

__device__ __forceinline__ Walk walk_of(const CachedOperands& x, int position) {
  const int first = static_cast<int>(blockIdx.x) * x.split_keys;
  const int end = min(first + x.split_keys, position + 1);
  return {first, end, max(end - first + kTileKeys - 1, 0) / kTileKeys,
          x.appends && first <= position && position < end};
}

/// Copies keys and values tile by tile into a ring of stages.
template <class T>
class TileCopies {
 public:
  __device__ TileCopies(const CachedOperands& x, const Walk& walk, unsigned stages)
      : walk_(walk), row_bytes_(x.row_bytes), stages_(stages) {
    const std::int64_t first_row = static_cast<std::int64_t>(blockIdx.z) * x.capacity + walk.first;
    const std::int64_t at =
        first_row * x.row_bytes + static_cast<std::int64_t>(blockIdx.y) * T::kRowBytes;
    keys_ = x.keys + at;
    values_ = x.values + at;
  }
  __device__ __forceinline__ void start(int tile) const {
    if (tile < walk_.tiles) {
      const unsigned stage = stages_ + tile % T::kStages * T::kStageBytes;
      const int existing = walk_.in_cache() - tile * kTileKeys;
      const std::int64_t bytes = tile * kTileKeys * row_bytes_;
      copy_tile<T, false>(stage, keys_ + bytes, row_bytes_, existing);
      copy_tile<T, true>(stage + T::kTileBytes, values_ + bytes, row_bytes_, existing);
    }
    close_copies();
  }

 private:
  const Walk& walk_;
  const std::uint8_t *keys_, *values_;
  std::int64_t row_bytes_;
  unsigned stages_;
};

template <class T>
__global__ void __launch_bounds__(T::kThreads) cached_attention_kernel(const CachedOperands x) {
  extern __shared__ __align__(1024) unsigned char shared_memory[];
  __shared__ Mark marks[T::kWarps][kMostGroup];
  const unsigned shared = static_cast<unsigned>(__cvta_generic_to_shared(shared_memory));
  unsigned char* kept = shared_memory + T::kQueryBytes;
  unsigned char* stages = shared_memory + T::kBeforeStages;
  const int kv_head = static_cast<int>(blockIdx.y);
  const std::int64_t sequence = blockIdx.z;
  const int warp = static_cast<int>(threadIdx.x) / 32;

  if (!x.appends) wait_for_earlier();
  // Positions and the keys and values before them are older than the pass.
  const int position = static_cast<int>(__ldcg(x.positions + sequence));
  const float key_scale = T::kF16 ? kv_scale(x.key_scale, kv_head) : 1.0f;
  const FinalScales scales = {T::kF16 ? kv_scale(x.value_scale, kv_head) : 1.0f,
                              x.codes == nullptr ? 1.0f : *x.code_scale};
  TokenPacks<T> token(x, sequence, kv_head);
  const Walk walk = walk_of(x, position);
  if (x.appends) token.load_angles(position);
  const TileCopies<T> copies(x, walk, shared + T::kBeforeStages);
#pragma unroll
  for (int tile = 0; tile < T::kStages - 1; ++tile) copies.start(tile);
  let_next_start();
  wait_for_earlier();
  token.load_query();
  if (walk.appends) token.load_own();
  token.store_query(shared);
  if (walk.appends) token.keep(sequence * x.capacity + position, kept);
  __syncthreads();
  const Queries<T> queries(shared);
  const float score_scale = x.score_scale * queries.scale() * key_scale;
  WarpRows<T> rows;
  clear(rows);
  for (int tile = 0; tile < walk.tiles; ++tile) {
    wait_for_groups<T::kStages - 2>();
    const int present = walk.end - walk.first - tile * kTileKeys;
    const unsigned at = tile % T::kStages * T::kStageBytes;
    if (walk.appends && present <= kTileKeys) place_kept<T>(kept, stages + at, present - 1);
    __syncthreads();  // this tile is there for all, and nobody reads the one before any more
    copies.start(tile + T::kStages - 1);
    const int first_key = warp * T::kKeys;
    const int visible = present - first_key;
    if (visible <= 0) continue;
    const unsigned stage = shared + T::kBeforeStages + at;
    queries.meet(rows, stage, first_key);
    if (visible < T::kKeys) hide_from(rows, visible);
    raise_references(rows, score_scale);
    meet_values(rows, stage + T::kTileBytes, first_key, score_scale);
  }
  wait_for_copies();
  __syncthreads();

  leave_parts(rows, score_scale, x.group, reinterpret_cast<float*>(stages), marks);
  __syncthreads();
  merge_warps<T>(x, scales, reinterpret_cast<const float*>(stages), marks);
  if (x.sums == nullptr) return;
  if (!arrives_last(x.arrivals + sequence * gridDim.y + kv_head, gridDim.x)) return;
  merge_splits<T>(x, scales, *reinterpret_cast<SplitWeights*>(stages));
}

template <int head_dim, DType format>
void launch(cudaStream_t stream, const CachedOperands& operands, dim3 grid) {
  using T = CachedTile<head_dim, format>;
  const auto kernel = cached_attention_kernel<T>;
  FP8CAL_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   T::shared_bytes(T::kStages)));
  launch_early(stream, kernel, grid, T::kThreads, T::shared_bytes(operands.split_keys / kTileKeys),
               operands);
}

template <int head_dim>
void launch_for_format(cudaStream_t stream, const CachedOperands& operands, dim3 grid,
                       DType format) {
  if (format == DType::bf16) return launch<head_dim, DType::bf16>(stream, operands, grid);
  if (format == DType::e4m3) return launch<head_dim, DType::e4m3>(stream, operands, grid);
  launch<head_dim, DType::e5m2>(stream, operands, grid);
}

void launch_for_head_dim(cudaStream_t stream, const CachedOperands& operands, dim3 grid,
                         DType format, std::size_t head_dim) {
  switch (head_dim) {
    case 32:
      return launch_for_format<32>(stream, operands, grid, format);
    case 64:
      return launch_for_format<64>(stream, operands, grid, format);
    case 128:
      return launch_for_format<128>(stream, operands, grid, format);
  }
  throw std::invalid_argument("cached_attention: head_dim: expected 32, 64 or 128, found " +
                              std::to_string(head_dim));
}

/// What the kernel can do, beyond that shapes fit. sequences, kv_heads: not 0.
void expect_supported(const KvCache& cache, std::size_t q_heads, std::size_t kv_heads) {
  constexpr std::size_t kLargestYZ = 65535;  // of a grid
  expect_multiple("cached_attention: heads of q", q_heads, kv_heads);
  expect_at_most("cached_attention: heads of q for one of k", q_heads / kv_heads, kMostGroup);
  expect_at_most("cached_attention: capacity", cache.capacity, std::size_t{1} << 30);
  expect_at_most("cached_attention: sequences", cache.sequences(), kLargestYZ);
  expect_at_most("cached_attention: heads of k", kv_heads, kLargestYZ);
  if (!rows_aligned(cache.keys, 16) || !rows_aligned(cache.values, 16)) {
    throw std::invalid_argument("cached_attention: cache: expected rows at multiples of 16 bytes");
  }
}

/// All but what depends on the number of splits.
CachedOperands operands_of(ConstMatrix q, const KvCache& cache, const std::uint32_t* positions,
                           std::size_t head_dim, Matrix out, const QuantizedRows& into,
                           const NewToken* token) {
  CachedOperands x{};
  x.q = static_cast<const Bf16*>(q.data);
  x.q_aligned = rows_aligned(q, sizeof(Pack));
  x.appends = token != nullptr;
  if (token != nullptr) x.token = *token;
  x.keys = static_cast<std::uint8_t*>(cache.keys.data);
  x.values = static_cast<std::uint8_t*>(cache.values.data);
  x.out = static_cast<Bf16*>(out.data);
  x.codes = static_cast<std::uint8_t*>(into.codes.data);
  x.code_scale = into.scale.data;
  x.positions = positions;
  x.q_stride = static_cast<std::int64_t>(q.stride);
  x.out_stride = static_cast<std::int64_t>(out.stride);
  x.code_stride = static_cast<std::int64_t>(into.codes.stride);
  x.row_bytes = static_cast<std::int64_t>(cache.keys.cols * size_of(cache.keys.dtype));
  x.capacity = static_cast<int>(cache.capacity);
  x.group = static_cast<int>(q.cols / cache.keys.cols);
  x.key_scale = cache.key_scale;
  x.value_scale = cache.value_scale;
  x.score_scale = kLog2E / std::sqrt(static_cast<float>(head_dim));
  return x;
}

}  // namespace

void CudaCachedAttention::reserve(cudaStream_t stream, std::size_t floats, std::size_t counters) {
  if (floats > partials_count_) {
    partials_ = allocate_device_memory(floats * sizeof(float));
    partials_count_ = floats;
  }
  if (counters > arrivals_count_) {
    arrivals_ = allocate_device_memory(counters * sizeof(std::uint32_t));
    arrivals_count_ = counters;
    FP8CAL_CUDA(cudaMemsetAsync(arrivals_.get(), 0, counters * sizeof(std::uint32_t), stream));
  }
}

void CudaCachedAttention::run(cudaStream_t stream, ConstMatrix q, const KvCache& cache,
                              const std::uint32_t* positions, std::size_t head_dim, Matrix out,
                              const QuantizedRows& into, const NewToken* token) {
  expect_multiple("cached_attention: columns of q", q.cols, head_dim);
  expect_multiple("cached_attention: columns of keys", cache.keys.cols, head_dim);
  const std::size_t sequences = cache.sequences();
  const std::size_t q_heads = q.cols / head_dim;
  const std::size_t kv_heads = cache.keys.cols / head_dim;
  expect_cache("cached_attention:", cache, cache.keys.cols, kv_heads);
  expect_matrix("cached_attention: q", q, sequences, q.cols);
  expect_matrix("cached_attention: out", out, sequences, q.cols);
  if (into.codes.data != nullptr) {
    expect_matrix("cached_attention: codes", into.codes, sequences, q.cols, DType::e4m3);
    expect_scales("cached_attention: scale of codes", into.scale, 1);
  }
  if (sequences == 0 || q_heads == 0) return;
  expect_supported(cache, q_heads, kv_heads);

  const std::size_t tiles = ceil_divide(cache.capacity, kTileKeys);
  // Fewer would take longer to be put together than they save.
  const std::size_t wanted =
      std::min(ceil_divide(kBlocksPerHead, sequences), ceil_divide(tiles, kFewestTiles));
  const std::size_t split_tiles = ceil_divide(tiles, wanted);
  const std::size_t splits = ceil_divide(tiles, split_tiles);
  const std::size_t parts = splits > 1 ? sequences * q_heads * splits : 0;
  if (parts > 0) reserve(stream, parts * (head_dim + 2), sequences * kv_heads);
  CachedOperands x = operands_of(q, cache, positions, head_dim, out, into, token);
  x.split_keys = static_cast<int>(split_tiles * kTileKeys);
  if (parts > 0) {
    x.sums = static_cast<float*>(partials_.get());
    x.marks = reinterpret_cast<float2*>(x.sums + parts * head_dim);
    x.arrivals = static_cast<std::uint32_t*>(arrivals_.get());
  }
  const dim3 grid(static_cast<unsigned>(splits), static_cast<unsigned>(kv_heads),
                  static_cast<unsigned>(sequences));
  launch_for_head_dim(stream, x, grid, cache.keys.dtype, head_dim);
}

void CudaCachedAttention::attend(cudaStream_t stream, ConstMatrix q, const KvCache& cache,
                                 const std::uint32_t* positions, std::size_t head_dim, Matrix out) {
  run(stream, q, cache, positions, head_dim, out, {}, nullptr);
}

bool CudaCachedAttention::append_and_attend(cudaStream_t stream, ConstMatrix q, ConstMatrix k,
                                            ConstMatrix v, std::size_t head_dim, ConstMatrix cosine,
                                            ConstMatrix sine, const std::uint32_t* positions,
                                            const KvCache& cache, Matrix out,
                                            const QuantizedRows& into) {
  expect_matrix("decode_attention: k", k, q.rows, cache.keys.cols);
  expect_matrix("decode_attention: v", v, q.rows, cache.keys.cols);
  expect_matrix("decode_attention: cosine", cosine, cosine.rows, head_dim / 2);
  expect_matrix("decode_attention: sine", sine, cosine.rows, head_dim / 2);
  if (!packs_aligned(q, k, v, cosine, sine)) return false;
  const NewToken token{
      static_cast<const Bf16*>(k.data),         static_cast<const Bf16*>(v.data),
      static_cast<const Bf16*>(cosine.data),    static_cast<const Bf16*>(sine.data),
      static_cast<std::int64_t>(k.stride),      static_cast<std::int64_t>(v.stride),
      static_cast<std::int64_t>(cosine.stride), static_cast<std::int64_t>(sine.stride)};
  run(stream, q, cache, positions, head_dim, out, into, &token);
  return true;
}

}  // namespace fp8cal
