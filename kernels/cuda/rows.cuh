#pragma once

#include <cstdint>

#include "kernels/cuda/pack.cuh"
#include "kernels/matrix.hpp"

namespace fp8cal {

using Bf16 = std::uint16_t;

/// What a launcher hands to a kernel of a matrix.
template <class T>
struct Rows {
  T* data;
  std::size_t stride;  // elements

  __device__ T* at(std::size_t row, std::size_t column) const {
    return data + row * stride + column;
  }
};

template <class T>
Rows<const T> rows_of(const ConstMatrix& matrix) {
  return {static_cast<const T*>(matrix.data), matrix.stride};
}
template <class T>
Rows<T> rows_of(const Matrix& matrix) {
  return {static_cast<T*>(matrix.data), matrix.stride};
}

__device__ inline Pack sum_of(const Pack& a, const Pack& b) {
  Pack sum;
#pragma unroll
  for (unsigned i = 0; i < kPack; ++i) {
    sum.at[i] = to_bf16(__fadd_rn(to_float(a.at[i]), to_float(b.at[i])));
  }
  return sum;
}

/// A matrix of `rows` rows whose columns lie in parts, one below the other.
struct Parts {
  Rows<const Bf16> data;
  std::size_t rows;
  unsigned part_cols;

  /// Whole: no pack lies in two parts.
  template <bool whole>
  __device__ Pack load_pack(std::size_t r, std::size_t column, unsigned count) const {
    std::size_t part = static_cast<unsigned>(column) / part_cols;
    unsigned c = static_cast<unsigned>(column) % part_cols;
    if (whole) return load<true>(data.at(part * rows + r, c), count);
    Pack pack{};
#pragma unroll
    for (unsigned i = 0; i < kPack; ++i) {
      if (i < count) pack.at[i] = *data.at(part * rows + r, c);
      if (++c < part_cols) continue;
      c = 0;
      ++part;
    }
    return pack;
  }
};

/// As expect_parts leaves `delta`, or null.
inline Parts parts_of(const ConstMatrix& delta, const Matrix& whole) {
  const std::size_t part_cols = delta.data == nullptr ? whole.cols : delta.cols;
  return {rows_of<Bf16>(delta), whole.rows, static_cast<unsigned>(part_cols)};
}

inline bool parts_whole(const ConstMatrix& delta) {
  return delta.data == nullptr || packs_whole(delta);
}

/// squares += those of x, one after the other.
__device__ inline void add_squares(float& squares, const Pack& x) {
#pragma unroll
  for (unsigned i = 0; i < kPack; ++i) {
    const float value = to_float(x.at[i]);
    squares = __fadd_rn(squares, __fmul_rn(value, value));
  }
}

/// What RMSNorm multiplies a row of `cols` elements by.
__device__ inline float rms_factor(float squares, std::size_t cols, float epsilon) {
  const float mean = __fdiv_rn(squares, static_cast<float>(cols));
  return __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(mean, epsilon)));
}

/// bf16(weight * bf16(x * factor)).
__device__ inline Pack normalised(const Pack& x, float factor, const Pack& weight) {
  Pack result;
  const auto* xs = reinterpret_cast<const __nv_bfloat162*>(&x);
  const auto* weights = reinterpret_cast<const __nv_bfloat162*>(&weight);
  auto* results = reinterpret_cast<__nv_bfloat162*>(&result);
#pragma unroll
  for (unsigned i = 0; i < kPack / 2; ++i) {
    const float2 both = __bfloat1622float2(xs[i]);
    const __nv_bfloat162 scaled =
        __floats2bfloat162_rn(__fmul_rn(both.x, factor), __fmul_rn(both.y, factor));
    results[i] = __hmul2_rn(weights[i], scaled);
  }
  return result;
}

/// bf16(bf16(silu(gate)) * up).
__device__ inline Bf16 silu_product(Bf16 gate, Bf16 up) {
  const float g = to_float(gate);
  const float silu = rounded(__fdiv_rn(g, 1.0f + expf(-g)));
  return to_bf16(__fmul_rn(silu, to_float(up)));
}

__device__ inline Pack silu_product(const Pack& gate, const Pack& up) {
  Pack product;
#pragma unroll
  for (unsigned i = 0; i < kPack; ++i) product.at[i] = silu_product(gate.at[i], up.at[i]);
  return product;
}

}  // namespace fp8cal
