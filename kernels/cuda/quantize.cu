#include "kernels/checks.hpp"
#include "kernels/cuda/fp8_code.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/magnitude.cuh"
#include "kernels/cuda/pack.cuh"
#include "kernels/cuda/quantize.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/float_formats.hpp"

namespace fp8cal {
namespace {

using Bf16 = std::uint16_t;

/// Quantizes `count` neighbours, at most 2 packs. Aligned: whole ones are read and written at once.
template <__nv_fp8_interpretation_t format, bool aligned>
__device__ void quantize_pair(const Bf16* from, unsigned count, const Divisor& divisor,
                              std::uint8_t* to) {
  const Pack packs[2] = {load<aligned>(from, min(count, kPack)),
                         load<aligned>(from + kPack, count > kPack ? count - kPack : 0)};
  alignas(16) std::uint8_t codes[2 * kPack];
  quantize_elements<format, 2 * kPack>(packs[0].at, divisor, codes);
  if (aligned && count == 2 * kPack) {
    *reinterpret_cast<uint4*>(to) = *reinterpret_cast<const uint4*>(codes);
  } else {
#pragma unroll
    for (unsigned i = 0; i < 2 * kPack; ++i) {
      if (i < count) to[i] = codes[i];
    }
  }
}

__device__ unsigned pair_size(std::size_t column, std::size_t cols) {
  const std::size_t left = cols - column;
  return left < 2 * kPack ? static_cast<unsigned>(left) : 2 * kPack;
}

template <__nv_fp8_interpretation_t format, bool aligned>
struct Quantize {
  ConstMatrix x;
  Scales scale;
  Matrix out;

  __device__ void operator()(std::size_t r, std::size_t pair) const {
    const std::size_t c = pair * 2 * kPack;
    const auto* from = static_cast<const Bf16*>(x.data) + r * x.stride + c;
    auto* to = static_cast<std::uint8_t*>(out.data) + r * out.stride + c;
    const Divisor divisor(scale.data[scale.count == 1 ? 0 : r]);
    quantize_pair<format, aligned>(from, pair_size(c, x.cols), divisor, to);
  }
};

/// One block a row, which is read again from a cache.
template <__nv_fp8_interpretation_t format, bool aligned>
__global__ void __launch_bounds__(kThreads)
    quantize_rows_kernel(ConstMatrix x, Matrix out, float largest, float* scales) {
  let_next_start();
  wait_for_earlier();
  for (std::size_t r = blockIdx.x; r < x.rows; r += gridDim.x) {
    const auto* from = static_cast<const Bf16*>(x.data) + r * x.stride;
    auto* to = static_cast<std::uint8_t*>(out.data) + r * out.stride;
    const std::uint32_t magnitude =
        block_maximum(larger_half(row_magnitude<aligned>(from, x.cols)));
    const float scale = scale_of_magnitude(magnitude, largest);
    if (threadIdx.x == 0) scales[r] = scale;
    const Divisor divisor(scale);
    for (std::size_t c = threadIdx.x * 2 * kPack; c < x.cols; c += blockDim.x * 2 * kPack) {
      quantize_pair<format, aligned>(from + c, pair_size(c, x.cols), divisor, to + c);
    }
  }
}

template <__nv_fp8_interpretation_t format, bool aligned>
void quantize(cudaStream_t stream, ConstMatrix x, Scales scale, Matrix out) {
  each_cell(stream, x.rows, ceil_divide(x.cols, 2 * kPack),
            Quantize<format, aligned>{x, scale, out});
}

template <__nv_fp8_interpretation_t format, bool aligned>
void quantize_rows(cudaStream_t stream, ConstMatrix x, Matrix out, float* scales) {
  const float largest = format == __NV_E4M3 ? kE4M3Max : kE5M2Max;
  launch_early(stream, quantize_rows_kernel<format, aligned>, row_blocks(x.rows),
               row_threads(x.cols), 0, x, out, largest, scales);
}

bool all_aligned(const ConstMatrix& x, const Matrix& out) {
  return packs_aligned(x) && rows_aligned(out, 2 * kPack);
}

}  // namespace

// Reads 2 bytes and writes 1 an element.
void cuda_quantize(cudaStream_t stream, ConstMatrix x, Scales scale, Matrix out) {
  expect_matrix("quantize: x", x, x.rows, x.cols);
  expect_fp8("quantize: out", out, x.rows, x.cols);
  expect_scales("quantize: scale", scale, x.rows);
  const bool aligned = all_aligned(x, out);
  if (out.dtype == DType::e4m3) {
    (aligned ? quantize<__NV_E4M3, true> : quantize<__NV_E4M3, false>)(stream, x, scale, out);
  } else {
    (aligned ? quantize<__NV_E5M2, true> : quantize<__NV_E5M2, false>)(stream, x, scale, out);
  }
}

// Reads 2 bytes and writes 1 an element.
void cuda_quantize_rows(cudaStream_t stream, ConstMatrix x, Matrix out, float* scales) {
  expect_matrix("quantize_rows: x", x, x.rows, x.cols);
  expect_fp8("quantize_rows: out", out, x.rows, x.cols);
  if (x.rows == 0) return;
  const bool aligned = all_aligned(x, out);
  if (out.dtype == DType::e4m3) {
    (aligned ? quantize_rows<__NV_E4M3, true> : quantize_rows<__NV_E4M3, false>)(stream, x, out,
                                                                                 scales);
  } else {
    (aligned ? quantize_rows<__NV_E5M2, true> : quantize_rows<__NV_E5M2, false>)(stream, x, out,
                                                                                 scales);
  }
}

}  // namespace fp8cal
