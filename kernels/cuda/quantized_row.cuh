#pragma once

#include <cstdint>

#include "kernels/backend.hpp"
#include "kernels/cuda/fp8_code.cuh"
#include "kernels/cuda/magnitude.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/float_formats.hpp"

namespace fp8cal {

/// Quantizes a row of bf16 as quantize_rows does and returns its scale, for all threads of a block:
/// codes, in shared memory, are there when they return, and zeros from `columns` up to `padded`,
/// both multiples of eight, less than a block's threads after it. A row has at most most_packs
/// packs a thread, held in registers, so that all of it is under way at once.
template <int most_packs>
__device__ float quantize_row(const Pack* row, int columns, int padded, unsigned char* codes) {
  const auto at = [](int i) { return static_cast<int>(threadIdx.x + i * blockDim.x); };
  const int count = columns / static_cast<int>(kPack);
  Pack packs[most_packs];
#pragma unroll
  for (int i = 0; i < most_packs; ++i) {
    if (at(i) >= count) break;
    packs[i] = row[at(i)];
  }
  std::uint32_t halves = 0;
#pragma unroll
  for (int i = 0; i < most_packs; ++i) {
    if (at(i) >= count) break;
    halves = larger_halves(halves, larger_halves(magnitudes_of(packs[i])));
  }
  const std::uint32_t largest = block_maximum(larger_half(halves));
  const float scale = scale_of_magnitude(largest, kE4M3Max);
  const Divisor divisor(scale);
  auto* to = reinterpret_cast<uint2*>(codes);
  if (divisor.in_range() && largest < kFirstNonFiniteBin) {
#pragma unroll
    for (int i = 0; i < most_packs; ++i) {
      if (at(i) >= count) break;
      to[at(i)] = ordinary_codes<__NV_E4M3>(packs[i], divisor);
    }
  } else {
    for (int i = 0; at(i) < count; ++i) to[at(i)] = exact_codes<__NV_E4M3>(row[at(i)], scale);
  }
  if (at(0) < padded / static_cast<int>(kPack) - count) to[count + at(0)] = uint2{};
  __syncthreads();
  return scale;
}

}  // namespace fp8cal
