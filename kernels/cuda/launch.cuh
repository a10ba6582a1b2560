#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>

#include "kernels/cuda/cuda_check.hpp"
#include "kernels/cuda/pack.cuh"

namespace fp8cal {

inline constexpr unsigned kThreads = 256;  // of a block, the most for the kernels launched here
inline constexpr std::size_t kMaxGridX = 0x7FFFFFFF;
inline constexpr std::size_t kMaxGridY = 0xFFFF;

/// body(row, column) for each cell, neighbouring columns on neighbouring threads.
template <class Body>
__global__ void __launch_bounds__(kThreads)
    each_cell_kernel(std::size_t rows, std::size_t columns, Body body) {
  const std::size_t first_row = std::size_t{blockIdx.x} * blockDim.y + threadIdx.y;
  const std::size_t first_column = std::size_t{blockIdx.y} * blockDim.x + threadIdx.x;
  for (std::size_t r = first_row; r < rows; r += std::size_t{gridDim.x} * blockDim.y) {
    for (std::size_t c = first_column; c < columns; c += std::size_t{gridDim.y} * blockDim.x) {
      body(r, c);
    }
  }
}

template <class Body>
void each_cell(cudaStream_t stream, std::size_t rows, std::size_t columns, const Body& body) {
  if (rows == 0 || columns == 0) return;
  unsigned across = 1;
  while (across < kThreads && across < columns) across *= 2;
  const dim3 block(across, kThreads / across);
  const dim3 grid(static_cast<unsigned>(std::min(ceil_divide(rows, block.y), kMaxGridX)),
                  static_cast<unsigned>(std::min(ceil_divide(columns, block.x), kMaxGridY)));
  each_cell_kernel<<<grid, block, 0, stream>>>(rows, columns, body);
  FP8CAL_CUDA(cudaGetLastError());
}

/// Threads of a block that handles one row. They depend on its length alone, and so does the order
/// of a row's sums.
inline unsigned row_threads(std::size_t cols) {
  const std::size_t warps = ceil_divide(std::max<std::size_t>(cols, 1), 32 * kPack);
  return static_cast<unsigned>(std::min<std::size_t>(32 * warps, kThreads));
}

/// Blocks for kernels that loop over rows by gridDim.x.
inline unsigned row_blocks(std::size_t rows) {
  return static_cast<unsigned>(std::min(rows, kMaxGridX));
}

}  // namespace fp8cal
