#pragma once

#include <cuda_bf16.h>

#include <cstddef>
#include <cstdint>

#include "kernels/matrix.hpp"

namespace fp8cal {

/// Columns that a thread handles at a time: 16 bytes of bf16.
inline constexpr unsigned kPack = 8;

__host__ __device__ constexpr std::size_t ceil_divide(std::size_t a, std::size_t b) {
  return (a + b - 1) / b;
}

__device__ inline float to_float(std::uint16_t bits) {
  return __uint_as_float(static_cast<std::uint32_t>(bits) << 16);
}

/// Rounds to nearest even. NaN stays NaN, its payload does not.
__device__ inline std::uint16_t to_bf16(float value) {
  return __bfloat16_as_ushort(__float2bfloat16_rn(value));
}

__device__ inline float rounded(float value) { return to_float(to_bf16(value)); }

/// kPack neighbours of a row of bf16.
struct alignas(16) Pack {
  std::uint16_t at[kPack];
};

/// How many of the pack that starts at `column` lie in a row of `cols`.
__device__ inline unsigned pack_size(std::size_t column, std::size_t cols) {
  if (column >= cols) return 0;
  return cols - column < kPack ? static_cast<unsigned>(cols - column) : kPack;
}

/// The same, known where rows are `whole` packs.
template <bool whole>
__device__ inline unsigned pack_size(std::size_t column, std::size_t cols) {
  return whole ? kPack : pack_size(column, cols);
}

/// Where a matrix is `aligned`, its whole packs are one access of 16 bytes.
template <bool aligned>
__device__ inline Pack load(const std::uint16_t* from, unsigned count) {
  Pack pack{};
  if (aligned && count == kPack) {
    *reinterpret_cast<uint4*>(&pack) = *reinterpret_cast<const uint4*>(from);
  } else {
#pragma unroll
    for (unsigned i = 0; i < kPack; ++i) {
      if (i < count) pack.at[i] = from[i];
    }
  }
  return pack;
}

template <bool aligned>
__device__ inline void store(const Pack& pack, unsigned count, std::uint16_t* to) {
  if (aligned && count == kPack) {
    *reinterpret_cast<uint4*>(to) = *reinterpret_cast<const uint4*>(&pack);
  } else {
#pragma unroll
    for (unsigned i = 0; i < kPack; ++i) {
      if (i < count) to[i] = pack.at[i];
    }
  }
}

/// True where every row starts at a multiple of `bytes`.
inline bool rows_aligned(const ConstMatrix& matrix, std::size_t bytes) {
  const bool first = reinterpret_cast<std::uintptr_t>(matrix.data) % bytes == 0;
  return first && (matrix.rows <= 1 || matrix.stride * size_of(matrix.dtype) % bytes == 0);
}

/// True where `load` and `store` may access packs of all these bf16 matrices as a whole.
template <class... Matrices>
bool packs_aligned(const Matrices&... matrices) {
  return (rows_aligned(matrices, sizeof(Pack)) && ...);
}

/// True where, besides, their rows are nothing but whole packs.
template <class... Matrices>
bool packs_whole(const Matrices&... matrices) {
  return packs_aligned(matrices...) && ((matrices.cols % kPack == 0) && ...);
}

}  // namespace fp8cal
