#include <cmath>

#include "kernels/checks.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/pack.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/tokens.cuh"

namespace fp8cal {
namespace {

using Bf16 = std::uint16_t;

constexpr unsigned kTopThreads = 1024;  // one block walks through a whole row

/// Orders logits and, of equal ones, the first column above the later; 0: none. NaNs are none.
__device__ std::uint64_t rank_of(Bf16 bits, std::uint32_t column) {
  const float value = to_float(bits);
  if (isnan(value)) return 0;
  const Bf16 plain = value == 0.0f ? 0 : bits;  // -0 is as large as 0
  const std::uint32_t ordered = plain & 0x8000u ? ~plain & 0xFFFFu : plain | 0x8000u;
  return static_cast<std::uint64_t>(ordered) << 32 | (0xFFFFFFFFu - column);
}

/// The largest of a whole pack; NaN where there is nothing else.
__device__ float largest_of(const Pack& pack) {
  const auto* pairs = reinterpret_cast<const __nv_bfloat162*>(&pack);
  const __nv_bfloat162 largest = __hmax2(__hmax2(pairs[0], pairs[1]), __hmax2(pairs[2], pairs[3]));
  return __bfloat162float(__hmax(__low2bfloat16(largest), __high2bfloat16(largest)));
}

/// The rank of the first of the elements that are largest, or `best` where that is above.
__device__ std::uint64_t better_of(const Pack& pack, unsigned count, std::uint32_t column,
                                   std::uint64_t best) {
#pragma unroll
  for (unsigned i = 0; i < kPack; ++i) {
    if (i >= count) continue;
    const std::uint64_t rank = rank_of(pack.at[i], column + i);
    best = rank > best ? rank : best;
  }
  return best;
}

template <bool aligned>
__global__ void __launch_bounds__(kTopThreads)
    top_tokens_kernel(ConstMatrix logits, std::uint32_t first_id, TopToken* tops) {
  let_next_start();
  wait_for_earlier();
  const std::size_t r = blockIdx.x;
  const auto* row = static_cast<const Bf16*>(logits.data) + r * logits.stride;
  std::uint64_t best = 0;
  float largest = -INFINITY;  // of those seen; few packs have a larger one
#pragma unroll 8
  for (std::size_t c = threadIdx.x * kPack; c < logits.cols; c += kTopThreads * kPack) {
    const unsigned count = pack_size(c, logits.cols);
    const Pack pack = load<aligned>(row + c, count);
    const float of_pack = largest_of(pack);
    if (count == kPack && best != 0 && !(of_pack > largest)) continue;
    best = better_of(pack, count, static_cast<std::uint32_t>(c), best);
    largest = fmaxf(largest, of_pack);
  }
  best = reduce_block(best, [](std::uint64_t a, std::uint64_t b) { return a > b ? a : b; });
  if (threadIdx.x != 0) return;
  const std::uint32_t column = best == 0 ? 0 : 0xFFFFFFFFu - static_cast<std::uint32_t>(best);
  tops[r] = {best == 0 ? -INFINITY : to_float(row[column]), first_id + column};
}

__global__ void __launch_bounds__(kThreads)
    next_tokens_kernel(const TopToken* tops, std::size_t slices, std::size_t rows,
                       std::uint32_t* ids, std::uint32_t* positions) {
  let_next_start();
  wait_for_earlier();
  const std::size_t r = std::size_t{blockIdx.x} * kThreads + threadIdx.x;
  if (r >= rows) return;
  TopToken best = tops[r];
  for (std::size_t s = 1; s < slices; ++s) {
    const TopToken& other = tops[s * rows + r];
    if (other.logit > best.logit) best = other;
  }
  ids[r] = best.id;
  ++positions[r];
}

}  // namespace

// Reads 2 bytes an element.
void cuda_top_tokens(cudaStream_t stream, ConstMatrix logits, std::uint32_t first_id,
                     TopToken* tops) {
  expect_matrix("top_tokens: logits", logits, logits.rows, logits.cols);
  if (logits.rows == 0) return;
  expect_at_most("top_tokens: rows", logits.rows, kMaxGridX);
  const auto kernel = packs_aligned(logits) ? top_tokens_kernel<true> : top_tokens_kernel<false>;
  launch_early(stream, kernel, static_cast<unsigned>(logits.rows), kTopThreads, 0, logits, first_id,
               tops);
}

void cuda_next_tokens(cudaStream_t stream, const TopToken* tops, std::size_t slices,
                      std::size_t rows, std::uint32_t* ids, std::uint32_t* positions) {
  if (rows == 0) return;
  const auto blocks = static_cast<unsigned>(ceil_divide(rows, kThreads));
  launch_early(stream, next_tokens_kernel, blocks, kThreads, 0, tops, slices, rows, ids, positions);
}

}  // namespace fp8cal
