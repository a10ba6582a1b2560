#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include "kernels/checks.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/pack.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/row_errors.cuh"

namespace fp8cal {
namespace {

template <class T>
__device__ T sum_of_block(T value) {
  return reduce_block(value, [](T a, T b) { return a + b; });
}

/// One block a row: a thread's elements in order, then over the threads.
template <__nv_fp8_interpretation_t format>
__global__ void __launch_bounds__(kThreads)
    row_errors_kernel(ConstMatrix x, ConstMatrix codes, Scales scale, RowError* errors) {
  for (std::size_t r = blockIdx.x; r < x.rows; r += gridDim.x) {
    const auto* values = static_cast<const std::uint16_t*>(x.data) + r * x.stride;
    const auto* kept = static_cast<const std::uint8_t*>(codes.data) + r * codes.stride;
    const double row_scale = scale.data[scale.count == 1 ? 0 : r];
    double energy = 0, squared_error = 0;
    unsigned long long flushed = 0;
#pragma unroll 4
    for (std::size_t c = threadIdx.x; c < x.cols; c += blockDim.x) {
      const double value = to_float(values[c]);
      // Every FP8 number is an FP16 number.
      const double code = __half2float(__half(__nv_cvt_fp8_to_halfraw(kept[c], format)));
      const double error = value - code * row_scale;
      energy += value * value;
      squared_error += error * error;
      flushed += value != 0 && code * row_scale == 0 ? 1 : 0;
    }
    energy = sum_of_block(energy);
    squared_error = sum_of_block(squared_error);
    flushed = sum_of_block(flushed);
    if (threadIdx.x == 0) errors[r] = {energy, squared_error, flushed};
  }
}

}  // namespace

// Reads 3 bytes an element.
void cuda_row_errors(cudaStream_t stream, ConstMatrix x, ConstMatrix codes, Scales scale,
                     RowError* errors) {
  expect_matrix("row_errors: x", x, x.rows, x.cols);
  expect_fp8("row_errors: codes", codes, x.rows, x.cols);
  expect_scales("row_errors: scale", scale, x.rows);
  if (x.rows == 0) return;
  const auto kernel =
      codes.dtype == DType::e4m3 ? row_errors_kernel<__NV_E4M3> : row_errors_kernel<__NV_E5M2>;
  kernel<<<row_blocks(x.rows), row_threads(x.cols), 0, stream>>>(x, codes, scale, errors);
  FP8CAL_CUDA(cudaGetLastError());
}

}  // namespace fp8cal
