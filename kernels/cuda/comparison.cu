#include <cmath>

#include "kernels/checks.hpp"
#include "kernels/cuda/comparison.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/pack.cuh"
#include "kernels/cuda/reduce.cuh"

namespace fp8cal {
namespace {

using Bf16 = std::uint16_t;
constexpr Bf16 kMinusInfinity = 0xFF80;

/// The largest of the numbers so far, where it stands first, and the sum of their exponentials
/// relative to it, in one pass over the numbers.
class Side {
 public:
  /// What sums so far are to be multiplied by; `column` is that of the pack.
  __device__ float rebase(const Pack& pack, std::uint32_t column) {
    float largest = maximum_;
#pragma unroll
    for (unsigned i = 0; i < kPack; ++i) largest = fmaxf(largest, to_float(pack.at[i]));
    if (largest == maximum_) return 1.0f;
    column_ = column;
    return rebase(largest);
  }
  __device__ float rebase(float largest) {
    if (largest == maximum_) return 1.0f;
    const float factor = expf(maximum_ - largest);
    sum_ = __fmul_rn(sum_, factor);
    maximum_ = largest;
    return factor;
  }

  /// Without a number above -infinity so far, exp(-infinity - base) is to be 0 and not NaN.
  __device__ float base() const { return maximum_ == -INFINITY ? 0.0f : maximum_; }
  __device__ void add(float term) { sum_ = __fadd_rn(sum_, term); }

  __device__ float maximum() const { return maximum_; }
  __device__ float sum() const { return sum_; }
  __device__ std::uint32_t column() const { return column_; }

 private:
  float maximum_ = -INFINITY;
  float sum_ = 0.0f;
  std::uint32_t column_ = 0;  // of the first pack that holds the maximum
};

/// What one thread knows of two rows.
class Comparison {
 public:
  __device__ void add(const Pack& p, const Pack& q, std::uint32_t column) {
    rescale(p_.rebase(p, column));
    q_.rebase(q, column);
    const float p_base = p_.base(), q_base = q_.base();
    float weights[kPack];
    float weighted = 0.0f;
#pragma unroll
    for (unsigned i = 0; i < kPack; ++i) {
      weights[i] = expf(to_float(p.at[i]) - p_base);
      p_.add(weights[i]);
      q_.add(expf(to_float(q.at[i]) - q_base));
      weighted = fmaf(weights[i], to_float(p.at[i]) - to_float(q.at[i]), weighted);
    }
    if (!(fabsf(weighted) < INFINITY)) weighted = without_weightless(p, q, weights);
    weighted_ = __fadd_rn(weighted_, weighted);
  }

  __device__ void rebase(float p_largest, float q_largest) {
    rescale(p_.rebase(p_largest));
    q_.rebase(q_largest);
  }

  __device__ const Side& p() const { return p_; }
  __device__ const Side& q() const { return q_; }
  __device__ float weighted() const { return weighted_; }

 private:
  __device__ void rescale(float factor) {
    if (factor != 1.0f) weighted_ = factor == 0.0f ? 0.0f : __fmul_rn(weighted_, factor);
  }

  /// Zero times an infinite difference is zero.
  __device__ static float without_weightless(const Pack& p, const Pack& q,
                                             const float (&weights)[kPack]) {
    float weighted = 0.0f;
    for (unsigned i = 0; i < kPack; ++i) {
      if (weights[i] == 0.0f) continue;
      weighted = fmaf(weights[i], to_float(p.at[i]) - to_float(q.at[i]), weighted);
    }
    return weighted;
  }

  Side p_, q_;
  float weighted_ = 0.0f;
};

/// The pack at a column, with -infinity, which adds nothing, beyond the row.
template <bool whole>
__device__ Pack load_logits(const Bf16* row, std::size_t column, std::size_t cols) {
  const unsigned count = pack_size(column, cols);
  Pack pack;
  if constexpr (whole) {
    constexpr unsigned kTwice = kMinusInfinity * 0x10001u;
    uint4 bits = {kTwice, kTwice, kTwice, kTwice};
    if (count != 0) bits = *reinterpret_cast<const uint4*>(row + column);
    *reinterpret_cast<uint4*>(&pack) = bits;
  } else {
#pragma unroll
    for (unsigned i = 0; i < kPack; ++i) pack.at[i] = i < count ? row[column + i] : kMinusInfinity;
  }
  return pack;
}

/// The first column of the block's row with its `maximum`; 0 where nothing is above -infinity.
template <bool whole>
__device__ std::uint32_t first_column(const Bf16* row, std::size_t cols, const Side& own,
                                      float maximum) {
  if (maximum == -INFINITY) return 0;
  std::uint32_t beyond = 0;  // the complement of the column, for there is a maximum over blocks
  if (own.maximum() == maximum) {
    const Pack pack = load_logits<whole>(row, own.column(), cols);
    unsigned i = 0;
    while (i < kPack - 1 && to_float(pack.at[i]) != maximum) ++i;
    beyond = ~(own.column() + i);
  }
  return ~block_maximum(beyond);
}

/// One block a row of both: a thread's packs in order, then over the threads.
template <bool whole>
__global__ void __launch_bounds__(kThreads)
    comparison_partials_kernel(ConstMatrix p, ConstMatrix q, std::uint32_t first_id,
                               ComparisonPartial* partials) {
  for (std::size_t t = blockIdx.x; t < p.rows; t += gridDim.x) {
    const auto* p_row = static_cast<const Bf16*>(p.data) + t * p.stride;
    const auto* q_row = static_cast<const Bf16*>(q.data) + t * q.stride;
    Comparison own;
    const std::size_t step = blockDim.x * kPack;
    for (std::size_t c = threadIdx.x * kPack; c < p.cols; c += 2 * step) {
      // All loads before the arithmetic, so that they are under way together.
      const Pack first_p = load_logits<whole>(p_row, c, p.cols);
      const Pack first_q = load_logits<whole>(q_row, c, p.cols);
      const Pack second_p = load_logits<whole>(p_row, c + step, p.cols);
      const Pack second_q = load_logits<whole>(q_row, c + step, p.cols);
      own.add(first_p, first_q, static_cast<std::uint32_t>(c));
      if (c + step < p.cols) own.add(second_p, second_q, static_cast<std::uint32_t>(c + step));
    }
    const float p_maximum = block_maximum(own.p().maximum());
    const float q_maximum = block_maximum(own.q().maximum());
    const std::uint32_t p_top = first_column<whole>(p_row, p.cols, own.p(), p_maximum);
    const std::uint32_t q_top = first_column<whole>(q_row, p.cols, own.q(), q_maximum);
    own.rebase(p_maximum, q_maximum);
    const float p_sum = block_sum(own.p().sum());
    const float weighted = block_sum(own.weighted());
    const float q_sum = block_sum(own.q().sum());
    if (threadIdx.x == 0) {
      partials[t] = {p_maximum,        p_sum,           weighted, q_maximum, q_sum,
                     first_id + p_top, first_id + q_top};
    }
  }
}

/// Both distributions over all slices.
struct Whole {
  float p_maximum = -INFINITY, q_maximum = -INFINITY;
  std::uint32_t p_top = 0, q_top = 0;
  float p_sum = 0.0f, weighted = 0.0f, q_sum = 0.0f;
};

__device__ Whole whole_of(const ComparisonPartial* partials, std::size_t slices, std::size_t tokens,
                          std::size_t token) {
  Whole whole;
  for (std::size_t s = 0; s < slices; ++s) {
    const ComparisonPartial& slice = partials[s * tokens + token];
    if (slice.p_maximum > whole.p_maximum) {
      whole.p_maximum = slice.p_maximum;
      whole.p_top = slice.p_top;
    }
    if (slice.q_maximum > whole.q_maximum) {
      whole.q_maximum = slice.q_maximum;
      whole.q_top = slice.q_top;
    }
  }
  for (std::size_t s = 0; s < slices; ++s) {
    const ComparisonPartial& slice = partials[s * tokens + token];
    const float p_factor = expf(slice.p_maximum - whole.p_maximum);
    const float q_factor = expf(slice.q_maximum - whole.q_maximum);
    whole.p_sum = __fadd_rn(whole.p_sum, __fmul_rn(slice.p_sum, p_factor));
    if (p_factor != 0.0f) {
      whole.weighted = __fadd_rn(whole.weighted, __fmul_rn(slice.weighted, p_factor));
    }
    whole.q_sum = __fadd_rn(whole.q_sum, __fmul_rn(slice.q_sum, q_factor));
  }
  return whole;
}

/// The mean over p of log(p / q) = (p's logit - q's logit) + (log of q's sum - log of p's sum).
__global__ void __launch_bounds__(kThreads)
    combine_comparison_kernel(const ComparisonPartial* partials, std::size_t slices,
                              std::size_t tokens, float* kl, std::uint8_t* same_top) {
  const std::size_t t = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (t >= tokens) return;
  const Whole whole = whole_of(partials, slices, tokens, t);
  const float logs =
      __fadd_rn(whole.q_maximum - whole.p_maximum, logf(__fdiv_rn(whole.q_sum, whole.p_sum)));
  const float divergence = __fadd_rn(__fdiv_rn(whole.weighted, whole.p_sum), logs);
  kl[t] = divergence < 0.0f ? 0.0f : divergence;  // NaN stays
  same_top[t] = whole.p_top == whole.q_top ? 1 : 0;
}

}  // namespace

// Reads 4 bytes an element of either.
void cuda_comparison_partials(cudaStream_t stream, ConstMatrix p, ConstMatrix q,
                              std::uint32_t first_id, ComparisonPartial* partials) {
  expect_matrix("comparison_partials: p", p, p.rows, p.cols);
  expect_matrix("comparison_partials: q", q, p.rows, p.cols);
  if (p.rows == 0) return;
  const auto kernel =
      packs_whole(p, q) ? comparison_partials_kernel<true> : comparison_partials_kernel<false>;
  kernel<<<row_blocks(p.rows), row_threads(p.cols), 0, stream>>>(p, q, first_id, partials);
  FP8CAL_CUDA(cudaGetLastError());
}

// Reads 28 bytes a slice and token.
void cuda_combine_comparison(cudaStream_t stream, const ComparisonPartial* partials,
                             std::size_t slices, std::size_t tokens, float* kl,
                             std::uint8_t* same_top) {
  if (tokens == 0) return;
  const auto blocks = static_cast<unsigned>(ceil_divide(tokens, kThreads));
  combine_comparison_kernel<<<blocks, kThreads, 0, stream>>>(partials, slices, tokens, kl,
                                                             same_top);
  FP8CAL_CUDA(cudaGetLastError());
}

}  // namespace fp8cal
