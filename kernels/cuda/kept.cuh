#pragma once

#include "kernels/cuda/fp8_code.cuh"
#include "kernels/cuda/pack.cuh"
#include "kernels/scales.hpp"

namespace fp8cal {

/// kPack neighbours of a head as a cache of `format` keeps them.
template <DType format>
struct alignas(kPack* size_of(format)) Kept {
  std::uint8_t at[kPack * size_of(format)];
};

/// scale: of the head; bf16 has none.
template <DType format>
__device__ inline Kept<format> kept(const Pack& pack, float scale) {
  Kept<format> result;
  if constexpr (format == DType::bf16) {
    *reinterpret_cast<Pack*>(&result) = pack;
  } else {
    constexpr auto kind = format == DType::e4m3 ? __NV_E4M3 : __NV_E5M2;
    quantize_elements<kind, kPack>(pack.at, Divisor(scale), result.at);
  }
  return result;
}

/// Of one KV head; 1 where there is none, as for bf16.
__device__ __forceinline__ float kv_scale(const Scales& scales, unsigned head) {
  if (scales.count == 0) return 1.0f;
  return scales.data[scales.count == 1 ? 0 : head];
}

}  // namespace fp8cal
