#pragma once

#include <cuda_bf16.h>
#include <cuda_fp8.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/cuda/attention_tile.cuh"
#include "kernels/matrix.hpp"

// Tiles of a cache of keys and values: how they lie in shared memory, and how queries meet them.
//
// FP8 codes are exact in f16, so they become operands of the tensor cores by one conversion, and
// scales are applied to sums. A thread's neighbouring codes are not what a fragment's registers
// stand for: along head_dim the queries are permuted alike, and of values the columns of the
// result.

namespace fp8cal {

inline constexpr int kMostGroup = 16;  // query rows of a fragment
inline constexpr int kTileKeys = 64;   // that a block multiplies between two barriers

/// format: of the cache.
template <int head_dim, DType format>
struct CachedTile {
  static constexpr int kHeadDim = head_dim;
  static constexpr int kWarps = 4;
  static constexpr int kThreads = 32 * kWarps;
  static constexpr int kRowTiles = 1;
  static constexpr int kKeys = kTileKeys / kWarps;
  static constexpr int kDepthSteps = head_dim / 16;
  static constexpr bool kF16 = format != DType::bf16;
  static constexpr int kElement = kF16 ? 1 : 2;  // bytes
  static constexpr int kRowBytes = head_dim * kElement;
  static constexpr int kTileBytes = kTileKeys * kRowBytes;
  static constexpr int kStageBytes = 2 * kTileBytes;  // keys, then values
  static constexpr int kStages = kF16 ? 4 : 3;
  static constexpr int kPairs = head_dim / 16;  // packs of half a head
  static constexpr int kQueryBytes = kMostGroup * head_dim * 2;
  static constexpr int kKeptBytes = 2 * kRowBytes;  // a new token's key and value
  static constexpr int kBeforeStages = kQueryBytes + kKeptBytes;
  static_assert(kBeforeStages % kRowBytes == 0, "chunks' places are exclusive ors of addresses");
  static constexpr int kMergeBytes = kWarps * kMostGroup * head_dim * 4;

  /// No more than is needed for a walk over so many tiles: what is left takes blocks of the kernel
  /// that comes next.
  static int shared_bytes(int tiles) {
    return kBeforeStages + std::max(std::min(tiles, kStages) * kStageBytes, kMergeBytes);
  }
};

template <class T>
inline constexpr DType kFormatOf = DType::bf16;
template <int head_dim, DType format>
inline constexpr DType kFormatOf<CachedTile<head_dim, format>> = format;

/// Where 16 bytes of a row of keys or values lie in a tile, so that what a warp reads at once lies
/// in different banks: keys row by row, values of eight rows at one place (ldmatrix).
template <class T, bool of_values>
__device__ __forceinline__ unsigned tile_offset(int row, int chunk) {
  if constexpr (!T::kF16) {
    return chunk_offset<T>(row, chunk);
  } else if constexpr (of_values) {
    constexpr int kChunks = T::kRowBytes / 16;
    return static_cast<unsigned>(row * T::kRowBytes +
                                 ((chunk ^ (row * kChunks / 8 % kChunks)) << 4));
  } else {
    const int swizzle = T::kRowBytes == 128 ? (row & 1) << 2 : 0;
    return static_cast<unsigned>(row * T::kRowBytes + ((chunk ^ swizzle) << 4));
  }
}

/// Starts copying kTileKeys rows; rows from `existing` on become zeros. A thread's rows are so many
/// apart that they lie at the same place of eight.
template <class T, bool of_values>
__device__ __forceinline__ void copy_tile(unsigned shared, const std::uint8_t* from,
                                          std::int64_t row_bytes, int existing) {
  constexpr unsigned kChunks = T::kRowBytes / 16;
  constexpr int kStep = T::kThreads / kChunks;
  static_assert(kStep % 8 == 0 && kTileKeys % kStep == 0);
  const int first = static_cast<int>(threadIdx.x / kChunks);
  const int chunk = static_cast<int>(threadIdx.x % kChunks);
  const unsigned to = shared + tile_offset<T, of_values>(first, chunk);
  const std::uint8_t* source = from + first * row_bytes + chunk * 16;
#pragma unroll
  for (int i = 0; i < kTileKeys / kStep; ++i, source += kStep * row_bytes) {
    copy_async(to + i * kStep * T::kRowBytes, reinterpret_cast<const __nv_bfloat16*>(source),
               first + i * kStep < existing);
  }
}

/// Where 16 bytes of a row of queries lie in shared memory, bf16 for every format of the cache.
template <class T>
__device__ __forceinline__ unsigned query_offset(int row, int chunk) {
  return chunk_offset<CachedTile<T::kHeadDim, DType::bf16>>(row, chunk);
}

/// Queries of one warp as the operand that meets keys, from kMostGroup rows in shared memory.
template <class T>
class Queries;

/// In bf16 they stay there.
template <class T>
requires(!T::kF16) class Queries<T> {
 public:
  __device__ explicit Queries(unsigned shared) : shared_(shared) {}
  __device__ float scale() const { return 1.0f; }
  __device__ void meet(WarpRows<T>& rows, unsigned keys, int first_key) const {
    multiply_keys(rows, shared_, keys + first_key * T::kRowBytes);
  }

 private:
  unsigned shared_;
};

template <DType format>
__device__ __forceinline__ std::uint32_t widen_codes(std::uint32_t two) {
  const auto codes = static_cast<__nv_fp8x2_storage_t>(two & 0xFFFFu);
  const __half2_raw wide =
      __nv_cvt_fp8x2_to_halfraw2(codes, format == DType::e4m3 ? __NV_E4M3 : __NV_E5M2);
  return wide.x | static_cast<std::uint32_t>(wide.y) << 16;
}

/// For FP8 keys they are in registers in f16, times a power of two that keeps them in range.
template <class T>
requires(T::kF16) class Queries<T> {
 public:
  __device__ explicit Queries(unsigned shared) {
    load(shared);
    float largest = 0.0f;
#pragma unroll
    for (const auto& fragment : fragments_) {
#pragma unroll
      for (const std::uint32_t two : fragment) {
        largest = fmaxf(largest, fmaxf(fabsf(low_of(two)), fabsf(high_of(two))));
      }
    }
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
      largest = fmaxf(largest, __shfl_xor_sync(0xFFFFFFFFu, largest, distance));
    }
    // The largest gets the exponent 14, of the 15 that f16 has.
    const int exponent = static_cast<int>(__float_as_uint(largest) >> 23);
    const float factor = __uint_as_float(static_cast<unsigned>(min(268 - exponent, 254)) << 23);
    scale_ = 1.0f / factor;
#pragma unroll
    for (auto& fragment : fragments_) {
#pragma unroll
      for (std::uint32_t& two : fragment) {
        two = pack_f16(low_of(two) * factor, high_of(two) * factor);
      }
    }
  }
  __device__ float scale() const { return scale_; }
  __device__ void meet(WarpRows<T>& rows, unsigned keys, int first_key) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
    for (int n = 0; n < T::kKeys / 8; ++n) {
#pragma unroll
      for (float& score : rows.scores[0][n]) score = 0.0f;
      const int row = first_key + 8 * n + lane / 4;
#pragma unroll
      for (int block = 0; block < T::kHeadDim / kBlock; ++block) {
        std::uint32_t words[kWords];
        const int byte = block * kBlock + lane % 4 * (kBlock / 4);
        const unsigned at = keys + tile_offset<T, false>(row, byte / 16) + byte % 16;
        if constexpr (kWords == 4) {
          asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];\n"
                       : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                       : "r"(at));
        } else {
          asm volatile("ld.shared.v2.u32 {%0, %1}, [%2];\n"
                       : "=r"(words[0]), "=r"(words[1])
                       : "r"(at));
        }
#pragma unroll
        for (int i = 0; i < kWords; ++i) {
          multiply_add_f16(rows.scores[0][n], fragments_[block * kWords + i],
                           widen_codes<kFormatOf<T>>(words[i]),
                           widen_codes<kFormatOf<T>>(words[i] >> 16));
        }
      }
    }
  }

 private:
  static constexpr int kBlock = T::kHeadDim < 64 ? T::kHeadDim : 64;  // codes that 4 threads read
  static constexpr int kWords = kBlock / 16;

  __device__ static float low_of(std::uint32_t two) { return __uint_as_float(two << 16); }
  __device__ static float high_of(std::uint32_t two) { return __uint_as_float(two & 0xFFFF0000u); }

  /// Still in bf16. Of each block a thread has kBlock / 4 neighbours, as of the keys.
  __device__ void load(unsigned shared) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
    for (int block = 0; block < T::kHeadDim / kBlock; ++block) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
#pragma unroll
        for (int i = 0; i < kWords / 2; ++i) {
          const int chunk = block * kBlock / 8 + lane % 4 * (kWords / 2) + i;
          std::uint32_t(&even)[4] = fragments_[block * kWords + 2 * i];
          std::uint32_t(&odd)[4] = fragments_[block * kWords + 2 * i + 1];
          asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];\n"
                       : "=r"(even[half]), "=r"(even[half + 2]), "=r"(odd[half]),
                         "=r"(odd[half + 2])
                       : "r"(shared + query_offset<T>(lane / 4 + 8 * half, chunk))
                       : "memory");
        }
      }
    }
  }

  std::uint32_t fragments_[T::kDepthSteps][4];
  float scale_;
};

/// Hides this warp's keys from the one numbered `visible` on.
template <class T>
__device__ __forceinline__ void hide_from(WarpRows<T>& rows, int visible) {
  const int first = static_cast<int>(threadIdx.x) % 4 * 2;
#pragma unroll
  for (int n = 0; n < T::kKeys / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (8 * n + first + i % 2 >= visible) rows.scores[0][n][i] = -INFINITY;
    }
  }
}

/// sums += weights v, of this warp's keys from first_key on in the tile.
template <class T>
__device__ __forceinline__ void meet_values(WarpRows<T>& rows, unsigned values, int first_key,
                                            float score_scale) {
  if constexpr (!T::kF16) {
    multiply_values(rows, values + first_key * T::kRowBytes, score_scale);
  } else {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    std::uint32_t weights[1][4];
    weigh(rows, 0, score_scale, weights);
#pragma unroll
    for (int chunk = 0; chunk < T::kRowBytes / 16; chunk += 2) {
      std::uint32_t f[4];  // of two chunks the first and the last eight keys
      load_transposed(f,
                      values + tile_offset<T, true>(first_key + (lane & 15), chunk + (lane >> 4)));
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const std::uint32_t first = __byte_perm(f[2 * i], 0, 0x3120);
        const std::uint32_t last = __byte_perm(f[2 * i + 1], 0, 0x3120);
        multiply_add_f16(rows.sums[0][2 * (chunk + i)], weights[0],
                         widen_codes<kFormatOf<T>>(first), widen_codes<kFormatOf<T>>(last));
        multiply_add_f16(rows.sums[0][2 * (chunk + i) + 1], weights[0],
                         widen_codes<kFormatOf<T>>(first >> 16),
                         widen_codes<kFormatOf<T>>(last >> 16));
      }
    }
  }
}

/// The dimension that sums[d][i] of this thread stands for.
template <class T>
__device__ __forceinline__ int dimension_of(int d, int i) {
  const int pair = static_cast<int>(threadIdx.x) % 4;
  if constexpr (!T::kF16) return 8 * d + 2 * pair + i % 2;
  return d / 2 * 16 + 4 * pair + i % 2 * 2 + d % 2;
}

}  // namespace fp8cal
