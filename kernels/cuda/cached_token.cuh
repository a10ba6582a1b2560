#pragma once

#include <cstdint>

#include "kernels/cuda/cached_operands.cuh"
#include "kernels/cuda/cached_tile.cuh"
#include "kernels/cuda/kept.cuh"
#include "kernels/cuda/rotation.cuh"

// What a block does with the token itself: its queries in shared memory, rotated, and its key and
// value where the cache and this block's own tile have them.
//
// Thread t holds pack t % kPairs of the first half of a head, and its partner in the second: of the
// query head t / kPairs, and in the last warp also of k or v. All of them meet the same cosines.

namespace fp8cal {

/// A pack of the first half of a head, and the one that it is rotated with.
struct PackPair {
  Pack first, second;
};

template <bool aligned>
__device__ __forceinline__ PackPair load_pair(const std::uint16_t* from, int half) {
  return {load<aligned>(from, kPack), load<aligned>(from + half, kPack)};
}

__device__ __forceinline__ void rotate(PackPair& pair, const Pack& cosines, const Pack& sines) {
#pragma unroll
  for (unsigned i = 0; i < kPack; ++i) {
    rotate(pair.first.at[i], pair.second.at[i], cosines.at[i], sines.at[i]);
  }
}

/// Angles come before the copies of tiles, the rest once earlier kernels are done; what is loaded
/// is used only when all of it is under way.
template <class T>
class TokenPacks {
 public:
  __device__ TokenPacks(const CachedOperands& x, std::int64_t sequence, int kv_head)
      : x_(x), sequence_(sequence), kv_head_(kv_head) {}

  __device__ __forceinline__ void load_query() {
    if (x_.q_aligned && head() < x_.group) query_ = load_pair<true>(query(), kHalf);
  }

  __device__ __forceinline__ void load_angles(int position) {
    const NewToken& token = x_.token;
    const std::int64_t column = pack() * 8;
    cosines_ = load<true>(token.cosine + position * token.cosine_stride + column, kPack);
    sines_ = load<true>(token.sine + position * token.sine_stride + column, kPack);
  }

  /// Its key and value, in the block that has their place in the cache.
  __device__ __forceinline__ void load_own() {
    if (row() >= 2) return;
    const NewToken& token = x_.token;
    const std::uint16_t* from =
        row() == 0 ? token.k + sequence_ * token.k_stride : token.v + sequence_ * token.v_stride;
    token_ = load_pair<true>(from + kv_head_ * T::kHeadDim + pack() * 8, kHalf);
  }

  /// Rows beyond the group are zeros.
  __device__ __forceinline__ void store_query(unsigned queries) {
    if (head() >= kMostGroup) return;
    if (head() >= x_.group) {
      query_ = {};
    } else {
      if (!x_.q_aligned) query_ = load_pair<false>(query(), kHalf);
      if (x_.appends) rotate(query_, cosines_, sines_);
    }
    store_shared(queries + query_offset<T>(head(), pack()), query_.first);
    store_shared(queries + query_offset<T>(head(), pack() + T::kPairs), query_.second);
  }

  /// To row `cache_row` of the cache and, key and value one after the other, to `rows`.
  __device__ __forceinline__ void keep(std::int64_t cache_row, std::uint8_t* rows) {
    if (row() >= 2) return;
    if (row() == 0) rotate(token_, cosines_, sines_);
    const float scale =
        T::kF16 ? kv_scale(row() == 0 ? x_.key_scale : x_.value_scale, kv_head_) : 1.0f;
    std::uint8_t* cached = (row() == 0 ? x_.keys : x_.values) + cache_row * x_.row_bytes +
                           static_cast<std::int64_t>(kv_head_) * T::kRowBytes;
    std::uint8_t* shared = rows + row() * T::kRowBytes;
#pragma unroll
    for (int part = 0; part < 2; ++part) {
      const int at = (part * kHalf + pack() * 8) * T::kElement;
      const Bytes bytes = kept<kFormatOf<T>>(part == 0 ? token_.first : token_.second, scale);
      *reinterpret_cast<Bytes*>(cached + at) = bytes;
      *reinterpret_cast<Bytes*>(shared + at) = bytes;
    }
  }

 private:
  using Bytes = Kept<kFormatOf<T>>;
  static constexpr int kHalf = T::kHeadDim / 2;
  static_assert(32 % T::kPairs == 0 && 2 * T::kPairs <= 32);
  static_assert(kMostGroup * T::kPairs <= T::kThreads);

  __device__ static int pack() { return static_cast<int>(threadIdx.x) % T::kPairs; }
  __device__ static int head() { return static_cast<int>(threadIdx.x) / T::kPairs; }
  /// 0: k, 1: v, others none.
  __device__ static unsigned row() {
    return (threadIdx.x - static_cast<unsigned>(T::kThreads - 32)) / T::kPairs;
  }
  __device__ const std::uint16_t* query() const {
    const std::int64_t at = (kv_head_ * x_.group + head()) * T::kHeadDim + pack() * 8;
    return x_.q + sequence_ * x_.q_stride + at;
  }
  __device__ static void store_shared(unsigned to, const Pack& pack) {
    const auto& words = *reinterpret_cast<const uint4*>(&pack);
    asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};\n" ::"r"(to), "r"(words.x), "r"(words.y),
                 "r"(words.z), "r"(words.w)
                 : "memory");
  }

  const CachedOperands& x_;
  std::int64_t sequence_;
  int kv_head_;
  PackPair query_, token_;
  Pack cosines_, sines_;
};

/// Puts the kept key and value into row `row` of a tile that has arrived, where copy_tile left
/// zeros. Each thread writes what it copied itself, so that no barrier need lie between.
template <class T>
__device__ __forceinline__ void place_kept(const std::uint8_t* rows, unsigned char* stage,
                                           int row) {
  constexpr int kChunks = T::kRowBytes / 16;
  const int chunk = (static_cast<int>(threadIdx.x) - row * kChunks) & (T::kThreads - 1);
  if (chunk >= kChunks) return;
  const auto* from = reinterpret_cast<const uint4*>(rows) + chunk;
  *reinterpret_cast<uint4*>(stage + tile_offset<T, false>(row, chunk)) = from[0];
  *reinterpret_cast<uint4*>(stage + T::kTileBytes + tile_offset<T, true>(row, chunk)) =
      from[kChunks];
}

}  // namespace fp8cal
