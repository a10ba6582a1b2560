#pragma once

#include <cuda_bf16.h>

#include <cmath>
#include <cstdint>

#include "kernels/cuda/tensor_core.cuh"

/// What the kernels of attention share: a warp's rows of queries against tiles of keys and values
/// in shared memory. T is a tile's dimensions: kHeadDim, kRowBytes of a row in shared memory,
/// kRowTiles of 16 query rows a warp, kKeys that a warp multiplies at a time, kDepthSteps of 16
/// along head_dim, kThreads of a block, kF16: weights and values in f16 instead of bf16.

namespace fp8cal {

/// Where the 16-byte chunk of a row lies in a tile of rows in shared memory. The exclusive or
/// spreads the eight rows that an ldmatrix reads over all banks.
template <class T>
__device__ __forceinline__ unsigned chunk_offset(int row, int chunk) {
  const int swizzle = T::kRowBytes >= 128 ? row & 7 : (row >> 1) & 3;
  return static_cast<unsigned>(row * T::kRowBytes + ((chunk ^ swizzle) << 4));
}

/// Starts copying `count` rows of head_dim elements to shared memory; rows from `existing` on
/// become zeros, so that a probability of zero never meets a stale NaN.
template <class T, int count, bool aligned>
__device__ __forceinline__ void copy_rows(unsigned shared, const __nv_bfloat16* source,
                                          std::int64_t stride, int existing) {
  constexpr int kChunks = T::kRowBytes / 16;
  constexpr int kStep = T::kThreads / kChunks;
  static_assert(count % kStep == 0);
  const int thread = fresh_thread_index();
  const int first = thread / kChunks;
  const int chunk = thread % kChunks;
  const __nv_bfloat16* from = source + first * stride + chunk * 8;
#pragma unroll
  for (int i = 0; i < count / kStep; ++i, from += kStep * stride) {
    const int row = first + i * kStep;
    const bool exists = row < existing;
    const unsigned to = shared + chunk_offset<T>(row, chunk);
    if constexpr (aligned) {
      copy_async(to, from, exists);
    } else {
      copy_narrow(to, from, exists);
    }
  }
}

/// The rows of one warp. A thread holds, of row tile m, the rows lane / 4 and 8 more ("halves" 0
/// and 1), and of every 8 columns the two from 2 * (lane % 4) on.
template <class T>
struct WarpRows {
  float scores[T::kRowTiles][T::kKeys / 8][4];
  float sums[T::kRowTiles][T::kHeadDim / 8][4];
  float reference[T::kRowTiles][2];  // the score whose weight is 1
  float total[T::kRowTiles][2];      // of this thread's weights
};

template <class T>
__device__ __forceinline__ void clear(WarpRows<T>& rows) {
#pragma unroll
  for (int m = 0; m < T::kRowTiles; ++m) {
#pragma unroll
    for (int d = 0; d < T::kHeadDim / 8; ++d) {
#pragma unroll
      for (float& sum : rows.sums[m][d]) sum = 0.0f;
    }
    rows.reference[m][0] = rows.reference[m][1] = -INFINITY;
    rows.total[m][0] = rows.total[m][1] = 0.0f;
  }
}

/// scores = q k^T. `queries`: this warp's rows in shared memory.
template <class T>
__device__ __forceinline__ void multiply_keys(WarpRows<T>& rows, unsigned queries, unsigned keys) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const unsigned query_lane = queries + chunk_offset<T>(lane & 15, lane >> 4);
  const unsigned key_lane =
      keys + chunk_offset<T>((lane & 7) | ((lane >> 4) << 3), (lane >> 3) & 1);
#pragma unroll
  for (int m = 0; m < T::kRowTiles; ++m) {
#pragma unroll
    for (int n = 0; n < T::kKeys / 8; ++n) {
#pragma unroll
      for (float& score : rows.scores[m][n]) score = 0.0f;
    }
  }
#pragma unroll
  for (int step = 0; step < T::kDepthSteps; ++step) {
    std::uint32_t a[T::kRowTiles][4];
#pragma unroll
    for (int m = 0; m < T::kRowTiles; ++m) {
      load_fragments(a[m], (query_lane ^ (step * 32)) + m * 16 * T::kRowBytes);
    }
#pragma unroll
    for (int n = 0; n < T::kKeys / 16; ++n) {
      std::uint32_t b[4];
      load_fragments(b, (key_lane ^ (step * 32)) + n * 16 * T::kRowBytes);
#pragma unroll
      for (int m = 0; m < T::kRowTiles; ++m) {
        multiply_add(rows.scores[m][2 * n], a[m], b[0], b[1]);
        multiply_add(rows.scores[m][2 * n + 1], a[m], b[2], b[3]);
      }
    }
  }
}

/// Hides keys behind their query. `distance`: the warp's first row less the tile's first key.
template <class T>
__device__ __forceinline__ void hide_later_keys(WarpRows<T>& rows, int distance) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int last_visible = distance + lane / 4 - 2 * (lane % 4);
#pragma unroll
  for (int m = 0; m < T::kRowTiles; ++m) {
#pragma unroll
    for (int n = 0; n < T::kKeys / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int column = 8 * n + i % 2;
        const int row = 16 * m + 8 * (i / 2);
        if (column > last_visible + row) rows.scores[m][n][i] = -INFINITY;
      }
    }
  }
}

/// Raises the rows' references where the new scores leave them far behind. A weight may grow to
/// 2^8 before that: no harm to a floating-point number, and the sums are rarely rescaled. Each row
/// decides for itself; where only its neighbours are rescaled it is multiplied by exactly 1.
template <class T>
__device__ __forceinline__ void raise_references(WarpRows<T>& rows, float score_scale) {
  constexpr float kLargestExponent = 8.0f;
  float correction[T::kRowTiles][2];
  bool any = false;
#pragma unroll
  for (int m = 0; m < T::kRowTiles; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float top = -INFINITY;
#pragma unroll
      for (int n = 0; n < T::kKeys / 8; ++n) {
        top = fmaxf(top, fmaxf(rows.scores[m][n][2 * half], rows.scores[m][n][2 * half + 1]));
      }
      top = fmaxf(top, __shfl_xor_sync(0xFFFFFFFFu, top, 1));
      top = fmaxf(top, __shfl_xor_sync(0xFFFFFFFFu, top, 2));
      float& reference = rows.reference[m][half];
      const float exponent = (reference - top) * score_scale;
      const bool raise = exponent < -kLargestExponent;
      correction[m][half] = raise ? power_of_two(exponent) : 1.0f;
      if (raise) reference = top;
      any |= raise;
    }
  }
  if (!__any_sync(0xFFFFFFFFu, any)) return;
#pragma unroll
  for (int m = 0; m < T::kRowTiles; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) rows.total[m][half] *= correction[m][half];
#pragma unroll
    for (int d = 0; d < T::kHeadDim / 8; ++d) {
#pragma unroll
      for (int i = 0; i < 4; ++i) rows.sums[m][d][i] *= correction[m][i / 2];
    }
  }
}

/// weights = 2^(score_scale * (scores - reference)) in bf16 or f16, of the 16 keys of `step`.
template <class T>
__device__ __forceinline__ void weigh(WarpRows<T>& rows, int step, float score_scale,
                                      std::uint32_t (&weights)[T::kRowTiles][4]) {
#pragma unroll
  for (int m = 0; m < T::kRowTiles; ++m) {
#pragma unroll
    for (int part = 0; part < 4; ++part) {
      const int half = part % 2;
      const float offset = -rows.reference[m][half] * score_scale;
      const float* pair = rows.scores[m][2 * step + part / 2] + 2 * half;
      const float low = power_of_two(fmaf(pair[0], score_scale, offset));
      const float high = power_of_two(fmaf(pair[1], score_scale, offset));
      rows.total[m][half] += low + high;
      weights[m][part] = T::kF16 ? pack_f16(low, high) : pack(low, high);
    }
  }
}

/// sums += weights v.
template <class T>
__device__ __forceinline__ void multiply_values(WarpRows<T>& rows, unsigned values,
                                                float score_scale) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const unsigned value_lane = values + chunk_offset<T>(lane & 15, lane >> 4);
#pragma unroll
  for (int step = 0; step < T::kKeys / 16; ++step) {
    std::uint32_t weights[T::kRowTiles][4];
    weigh(rows, step, score_scale, weights);
#pragma unroll
    for (int d = 0; d < T::kHeadDim / 16; ++d) {
      std::uint32_t b[4];
      load_transposed(b, (value_lane ^ (d * 32)) + step * 16 * T::kRowBytes);
#pragma unroll
      for (int m = 0; m < T::kRowTiles; ++m) {
        multiply_add(rows.sums[m][2 * d], weights[m], b[0], b[1]);
        multiply_add(rows.sums[m][2 * d + 1], weights[m], b[2], b[3]);
      }
    }
  }
}

}  // namespace fp8cal
