#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/cuda/cached_operands.cuh"
#include "kernels/cuda/cached_tile.cuh"

// Parts of the keys are put together twice, each time in a fixed order: those of a block's warps,
// and where several blocks share a sequence, theirs, by the one that comes last.

namespace fp8cal {

inline constexpr int kMostSplits = 32;    // of a sequence: one a lane
inline constexpr int kSplitsAtOnce = 20;  // that a thread reads before it waits for them
static_assert(kMostSplits <= 2 * kSplitsAtOnce && 2 * kSplitsAtOnce <= kMostSplits + 32);

/// Of some keys and one query: their largest exponent and the sum of their weights relative to it.
struct Mark {
  float exponent, total;
};

/// Scales that belong to the end, loaded at the beginning.
struct FinalScales {
  float values;  // of the head of v
  float code;    // 1 where there are no codes
};

/// Where a warp's sum for four neighbouring dimensions from `dim` on lies in shared memory. The
/// exclusive or spreads the rows that a warp writes at once over the banks.
template <class T>
__device__ __forceinline__ int part_offset(int warp, int row, int dim) {
  return (warp * kMostGroup + row) * T::kHeadDim + (dim ^ (row & 3) << 3);
}

/// Leaves this warp's sums of the group's rows in `parts`, and its marks.
template <class T>
__device__ __forceinline__ void leave_parts(WarpRows<T>& rows, float score_scale, int group,
                                            float* parts, Mark (&marks)[T::kWarps][kMostGroup]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float total = rows.total[0][half];
    total += __shfl_xor_sync(0xFFFFFFFFu, total, 1);
    total += __shfl_xor_sync(0xFFFFFFFFu, total, 2);
    const int row = 8 * half + lane / 4;
    if (row >= group) continue;
    marks[warp][row] = {rows.reference[0][half] * score_scale, total};
#pragma unroll
    for (int d = 0; d < T::kHeadDim / 8; ++d) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        parts[part_offset<T>(warp, row, dimension_of<T>(d, i))] = rows.sums[0][d][2 * half + i];
      }
    }
  }
}

__device__ __forceinline__ float4 multiply_add(float weight, const float4& x, const float4& sum) {
  return {fmaf(weight, x.x, sum.x), fmaf(weight, x.y, sum.y), fmaf(weight, x.z, sum.z),
          fmaf(weight, x.w, sum.w)};
}

__device__ __forceinline__ float4 result_of(const float4& sum, float total, float scale) {
  return {sum.x / total * scale, sum.y / total * scale, sum.z / total * scale,
          sum.w / total * scale};
}

/// Puts the warps' parts together, relative to the largest of their references: to the results, or
/// to this split's sums and marks.
template <class T>
__device__ __forceinline__ void merge_warps(const CachedOperands& x, const FinalScales& scales,
                                            const float* parts,
                                            const Mark (&marks)[T::kWarps][kMostGroup]) {
  const std::int64_t sequence = blockIdx.z;
  const int first_head = static_cast<int>(blockIdx.y) * x.group;
  const int heads = static_cast<int>(gridDim.y) * x.group;
  const Divisor divisor(scales.code);
  for (int at = 4 * static_cast<int>(threadIdx.x); at < x.group * T::kHeadDim;
       at += 4 * T::kThreads) {
    const int row = at / T::kHeadDim;
    const int dim = at % T::kHeadDim;
    float exponent = -INFINITY;
#pragma unroll
    for (int w = 0; w < T::kWarps; ++w) exponent = fmaxf(exponent, marks[w][row].exponent);
    float4 sum = {};
    float total = 0.0f;
#pragma unroll
    for (int w = 0; w < T::kWarps; ++w) {
      if (marks[w][row].exponent == -INFINITY) continue;
      const float weight = power_of_two(marks[w][row].exponent - exponent);
      const auto* part = reinterpret_cast<const float4*>(parts + part_offset<T>(w, row, dim));
      sum = multiply_add(weight, *part, sum);
      total = fmaf(weight, marks[w][row].total, total);
    }
    if (x.sums == nullptr) {
      deliver(x, sequence, first_head * T::kHeadDim + at, divisor,
              result_of(sum, total, scales.values));
    } else {
      const std::int64_t part = (sequence * heads + first_head + row) * gridDim.x + blockIdx.x;
      *reinterpret_cast<float4*>(x.sums + part * T::kHeadDim + dim) = sum;
      if (dim == 0) x.marks[part] = {exponent, total};
    }
  }
}

/// What each split's part of a row weighs, 0 where there is none, and their total.
struct SplitWeights {
  float of[kMostGroup][2 * kSplitsAtOnce];
  float total[kMostGroup];
};

/// marks: of the first row; a warp a row, a lane a split.
template <class T>
__device__ __forceinline__ void weigh_splits(const float2* marks, int group, int splits,
                                             SplitWeights& weights) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  for (int row = static_cast<int>(threadIdx.x) / 32; row < group; row += T::kWarps) {
    const float2 mark =
        lane < splits ? __ldcg(marks + row * splits + lane) : float2{-INFINITY, 0.0f};
    float exponent = mark.x;
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
      exponent = fmaxf(exponent, __shfl_xor_sync(0xFFFFFFFFu, exponent, distance));
    }
    const float weight = mark.x == -INFINITY ? 0.0f : power_of_two(mark.x - exponent);
    float total = weight * mark.y;
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
      total += __shfl_xor_sync(0xFFFFFFFFu, total, distance);
    }
    weights.of[row][lane] = weight;
    if (kMostSplits + lane < 2 * kSplitsAtOnce) weights.of[row][kMostSplits + lane] = 0.0f;
    if (lane == 0) weights.total[row] = total;
  }
}

/// Starts reading four columns of the splits from s on; zeros where there is none.
template <class T>
__device__ __forceinline__ void load_parts(const float* from, int s, int splits,
                                           float4 (&parts)[kSplitsAtOnce]) {
#pragma unroll
  for (int i = 0; i < kSplitsAtOnce; ++i) {
    parts[i] = s + i < splits
                   ? __ldcg(reinterpret_cast<const float4*>(from + (s + i) * T::kHeadDim))
                   : float4{};
  }
}

/// Puts the splits' parts together in their order.
template <class T>
__device__ __forceinline__ void merge_splits(const CachedOperands& x, const FinalScales& scales,
                                             SplitWeights& weights) {
  const std::int64_t sequence = blockIdx.z;
  const int splits = static_cast<int>(gridDim.x);
  const int first_head = static_cast<int>(blockIdx.y) * x.group;
  const std::int64_t first = (sequence * gridDim.y * x.group + first_head) * splits;
  const Divisor divisor(scales.code);
  // Every thread goes round as often, since they meet at a barrier.
  for (int round = 0; round < x.group * T::kHeadDim; round += 4 * T::kThreads) {
    const int at = round + 4 * static_cast<int>(threadIdx.x);
    const int row = at / T::kHeadDim;
    const bool exists = row < x.group;
    const float* from = x.sums + (first + row * splits) * T::kHeadDim + at % T::kHeadDim;
    float4 parts[kSplitsAtOnce];
    load_parts<T>(from, 0, exists ? splits : 0, parts);
    if (round == 0) {
      weigh_splits<T>(x.marks + first, x.group, splits, weights);
      __syncthreads();
    }
    if (!exists) continue;
    float4 sum = {};
    for (int s = 0; s < splits; s += kSplitsAtOnce) {
      if (s > 0) load_parts<T>(from, s, splits, parts);
#pragma unroll
      for (int i = 0; i < kSplitsAtOnce; ++i)
        sum = multiply_add(weights.of[row][s + i], parts[i], sum);
    }
    deliver(x, sequence, first_head * T::kHeadDim + at, divisor,
            result_of(sum, weights.total[row], scales.values));
  }
}

}  // namespace fp8cal
