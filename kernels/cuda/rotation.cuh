#pragma once

#include "kernels/cuda/pack.cuh"

namespace fp8cal {

/// Rotates a pair, in place: rounded to bf16 after each product and after the sum.
__device__ inline void rotate(std::uint16_t& first, std::uint16_t& second, std::uint16_t cosine,
                              std::uint16_t sine) {
  const float a = to_float(first), b = to_float(second);
  const float c = to_float(cosine), s = to_float(sine);
  first = to_bf16(__fadd_rn(rounded(__fmul_rn(a, c)), rounded(__fmul_rn(-b, s))));
  second = to_bf16(__fadd_rn(rounded(__fmul_rn(b, c)), rounded(__fmul_rn(a, s))));
}

}  // namespace fp8cal
