#pragma once

#include <cstdint>

#include "kernels/cuda/pack.cuh"

namespace fp8cal {

/// The low 15 bits of a pack's elements, two to a word, the first in the low half.
struct Magnitudes {
  std::uint32_t words[kPack / 2] = {};

  __device__ std::uint32_t at(unsigned i) const {
    return i % 2 == 0 ? words[i / 2] & 0xFFFFu : words[i / 2] >> 16;
  }
};

__device__ inline Magnitudes magnitudes_of(const Pack& pack) {
  const uint4 bits = *reinterpret_cast<const uint4*>(&pack);
  return {{bits.x & 0x7FFF7FFFu, bits.y & 0x7FFF7FFFu, bits.z & 0x7FFF7FFFu, bits.w & 0x7FFF7FFFu}};
}

/// Both halves of both words at once.
__device__ inline std::uint32_t larger_halves(std::uint32_t a, std::uint32_t b) {
  return __vmaxu2(a, b);
}

__device__ inline std::uint32_t larger_halves(const Magnitudes& m) {
  return larger_halves(larger_halves(m.words[0], m.words[1]),
                       larger_halves(m.words[2], m.words[3]));
}

__device__ inline std::uint32_t larger_half(std::uint32_t word) {
  return max(word & 0xFFFFu, word >> 16);
}

/// bf16 magnitude bits as the bits of a float.
__device__ inline std::uint32_t float_bits(std::uint32_t magnitude) { return magnitude << 16; }

/// As scale_of: of a row, `largest` being the format's largest number.
__device__ inline float scale_of_magnitude(std::uint32_t magnitude, float largest) {
  return magnitude == 0 ? 1.0f : __fdiv_rn(__uint_as_float(float_bits(magnitude)), largest);
}

/// This thread's share of the largest magnitude of a row, as two halves of a word.
template <bool aligned>
__device__ inline std::uint32_t row_magnitude(const std::uint16_t* row, std::size_t cols) {
  std::uint32_t largest = 0;
#pragma unroll 4
  for (std::size_t c = threadIdx.x * kPack; c < cols; c += blockDim.x * kPack) {
    largest = larger_halves(
        largest, larger_halves(magnitudes_of(load<aligned>(row + c, pack_size(c, cols)))));
  }
  return largest;
}

}  // namespace fp8cal
