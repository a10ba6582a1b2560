#include <cmath>

#include "kernels/checks.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/pack.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/softmax.cuh"

namespace fp8cal {
namespace {

using Bf16 = std::uint16_t;

/// A sum of exponentials relative to the largest number so far, in one pass over the numbers.
class ExponentialSum {
 public:
  __device__ void add(Pack pack, unsigned count) {
    constexpr Bf16 kMinusInfinity = 0xFF80;  // adds nothing
#pragma unroll
    for (unsigned i = 0; i < kPack; ++i) pack.at[i] = i < count ? pack.at[i] : kMinusInfinity;
    float largest = maximum_;
#pragma unroll
    for (unsigned i = 0; i < kPack; ++i) largest = fmaxf(largest, to_float(pack.at[i]));
    rebase(largest);
    const float base = base_of(maximum_);
#pragma unroll
    for (unsigned i = 0; i < kPack; ++i) {
      sum_ = __fadd_rn(sum_, expf(to_float(pack.at[i]) - base));
    }
  }

  __device__ void rebase(float largest) {
    if (largest == maximum_) return;
    sum_ = __fmul_rn(sum_, expf(maximum_ - largest));
    maximum_ = largest;
  }

  __device__ float maximum() const { return maximum_; }
  __device__ float sum() const { return sum_; }

 private:
  /// Without a finite number so far, exp(-infinity - base) is to be 0 and not NaN.
  __device__ static float base_of(float maximum) { return maximum == -INFINITY ? 0.0f : maximum; }

  float maximum_ = -INFINITY;
  float sum_ = 0.0f;
};

/// One block a row: a thread's packs in order, then over the threads.
template <bool aligned>
__global__ void __launch_bounds__(kThreads)
    softmax_partials_kernel(ConstMatrix logits, std::uint32_t first_id,
                            const std::uint32_t* targets, float* partials) {
  for (std::size_t t = blockIdx.x; t < logits.rows; t += gridDim.x) {
    const auto* row = static_cast<const Bf16*>(logits.data) + t * logits.stride;
    ExponentialSum own;
#pragma unroll 4
    for (std::size_t c = threadIdx.x * kPack; c < logits.cols; c += blockDim.x * kPack) {
      const unsigned count = pack_size(c, logits.cols);
      own.add(load<aligned>(row + c, count), count);
    }
    const float maximum = block_maximum(own.maximum());
    own.rebase(maximum);
    const float sum = block_sum(own.sum());
    if (threadIdx.x == 0) {
      const std::uint32_t target = targets[t];
      const bool held =
          target != kNoTarget && target >= first_id && target - first_id < logits.cols;
      partials[3 * t] = maximum;
      partials[3 * t + 1] = maximum == -INFINITY && logits.cols > 0 ? NAN : sum;
      partials[3 * t + 2] = held ? to_float(row[target - first_id]) : -INFINITY;
    }
  }
}

/// log(sum of exp) - target = log(sum of exp(logit - maximum)) + (maximum - target).
__global__ void __launch_bounds__(kThreads)
    combine_partials_kernel(const float* partials, std::size_t slices, const std::uint32_t* targets,
                            std::size_t tokens, float* nll) {
  const std::size_t t = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (t >= tokens) return;
  if (targets[t] == kNoTarget) {
    nll[t] = 0.0f;
    return;
  }
  float maximum = -INFINITY, target = -INFINITY;
  for (std::size_t s = 0; s < slices; ++s) {
    const float* partial = partials + 3 * (s * tokens + t);
    maximum = fmaxf(maximum, partial[0]);
    target = fmaxf(target, partial[2]);
  }
  float sum = 0.0f;
  for (std::size_t s = 0; s < slices; ++s) {
    const float* partial = partials + 3 * (s * tokens + t);
    sum = __fadd_rn(sum, __fmul_rn(partial[1], expf(partial[0] - maximum)));
  }
  nll[t] = __fadd_rn(logf(sum), maximum - target);
}

}  // namespace

// Reads 2 bytes an element.
void cuda_softmax_partials(cudaStream_t stream, ConstMatrix logits, std::uint32_t first_id,
                           const std::uint32_t* targets, float* partials) {
  expect_matrix("softmax_partials: logits", logits, logits.rows, logits.cols);
  if (logits.rows == 0) return;
  const auto kernel =
      packs_aligned(logits) ? softmax_partials_kernel<true> : softmax_partials_kernel<false>;
  kernel<<<row_blocks(logits.rows), row_threads(logits.cols), 0, stream>>>(logits, first_id,
                                                                           targets, partials);
  FP8CAL_CUDA(cudaGetLastError());
}

// Reads 12 bytes a slice and token.
void cuda_combine_partials(cudaStream_t stream, const float* partials, std::size_t slices,
                           const std::uint32_t* targets, std::size_t tokens, float* nll) {
  if (tokens == 0) return;
  const auto blocks = static_cast<unsigned>(ceil_divide(tokens, kThreads));
  combine_partials_kernel<<<blocks, kThreads, 0, stream>>>(partials, slices, targets, tokens, nll);
  FP8CAL_CUDA(cudaGetLastError());
}

}  // namespace fp8cal
