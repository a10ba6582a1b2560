#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>

#include "kernels/cuda/cuda_check.hpp"
#include "kernels/cuda/device_attributes.hpp"
#include "kernels/cuda/pack.cuh"

namespace fp8cal {

inline constexpr unsigned kThreads = 256;  // of a block, the most for the kernels launched here
inline constexpr std::size_t kMaxGridX = 0x7FFFFFFF;
inline constexpr std::size_t kMaxGridY = 0xFFFF;

/// Lets the next kernel on the stream start while this one runs, where it was launched by
/// launch_early. What it does before wait_for_earlier may touch nothing that an earlier kernel
/// writes, or reads and it would write.
__device__ __forceinline__ void let_next_start() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;\n" ::: "memory");
#endif
}

/// Returns when all earlier kernels are done. Each kernel that is launched by launch_early waits,
/// so that whoever waits for it waits for those before it too.
__device__ __forceinline__ void wait_for_earlier() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;\n" ::: "memory");
#endif
}

/// When a kernel starts: as soon as the one before it lets it; or in turn, when that is done. What
/// an early one does before wait_for_earlier comes after all that was before the last one in turn.
enum class Start { early, in_turn };

/// Launches a kernel that calls wait_for_earlier. On GPUs before sm_90 all start in turn.
template <class... Parameters, class... Arguments>
void launch_kernel(Start start, cudaStream_t stream, void (*kernel)(Parameters...), dim3 grid,
                   dim3 block, std::size_t shared_bytes, const Arguments&... arguments) {
  cudaLaunchAttribute early{};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t launch{};
  launch.gridDim = grid;
  launch.blockDim = block;
  launch.dynamicSmemBytes = shared_bytes;
  launch.stream = stream;
  launch.attrs = &early;
  launch.numAttrs = start == Start::early && can_launch_early() ? 1 : 0;
  FP8CAL_CUDA(cudaLaunchKernelEx(&launch, kernel, Parameters(arguments)...));
}

/// For kernels so short that the pauses between them count.
template <class... Parameters, class... Arguments>
void launch_early(cudaStream_t stream, void (*kernel)(Parameters...), dim3 grid, dim3 block,
                  std::size_t shared_bytes, const Arguments&... arguments) {
  launch_kernel(Start::early, stream, kernel, grid, block, shared_bytes, arguments...);
}

/// body(row, column) for each cell, neighbouring columns on neighbouring threads.
template <class Body>
__global__ void __launch_bounds__(kThreads)
    each_cell_kernel(std::size_t rows, std::size_t columns, Body body) {
  let_next_start();
  wait_for_earlier();
  const std::size_t first_row = std::size_t{blockIdx.x} * blockDim.y + threadIdx.y;
  const std::size_t first_column = std::size_t{blockIdx.y} * blockDim.x + threadIdx.x;
  for (std::size_t r = first_row; r < rows; r += std::size_t{gridDim.x} * blockDim.y) {
    for (std::size_t c = first_column; c < columns; c += std::size_t{gridDim.y} * blockDim.x) {
      body(r, c);
    }
  }
}

/// Threads of a block, as many along the columns as these need.
inline dim3 cell_block(std::size_t columns) {
  unsigned across = 1;
  while (across < kThreads && across < columns) across *= 2;
  return dim3(across, kThreads / across);
}

template <class Body>
void each_cell(cudaStream_t stream, std::size_t rows, std::size_t columns, const Body& body) {
  if (rows == 0 || columns == 0) return;
  const dim3 block = cell_block(columns);
  const dim3 grid(static_cast<unsigned>(std::min(ceil_divide(rows, block.y), kMaxGridX)),
                  static_cast<unsigned>(std::min(ceil_divide(columns, block.x), kMaxGridY)));
  launch_early(stream, each_cell_kernel<Body>, grid, block, 0, rows, columns, body);
}

/// Rows of one column that a thread of transform_cells handles at a time.
inline constexpr unsigned kCellsAtOnce = 4;

/// body.finish(row, column, body.load(row, column)) for each cell, neighbouring columns on
/// neighbouring threads. A thread's loads all come before the stores of `finish`, which are to
/// touch no other cell's operands. Neighbouring blocks follow the rows, as memory does.
template <class Body>
__global__ void __launch_bounds__(kThreads)
    transform_cells_kernel(std::size_t rows, std::size_t columns, Body body) {
  let_next_start();
  wait_for_earlier();
  using Loaded = decltype(body.load(rows, columns));
  const std::size_t block_rows = std::size_t{kCellsAtOnce} * blockDim.y;
  const std::size_t first_column = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x;
  for (std::size_t first = blockIdx.y * block_rows + threadIdx.y; first < rows;
       first += gridDim.y * block_rows) {
    for (std::size_t c = first_column; c < columns; c += std::size_t{gridDim.x} * blockDim.x) {
      Loaded loaded[kCellsAtOnce];
#pragma unroll
      for (unsigned i = 0; i < kCellsAtOnce; ++i) {
        const std::size_t r = first + i * blockDim.y;
        if (r < rows) loaded[i] = body.load(r, c);
      }
#pragma unroll
      for (unsigned i = 0; i < kCellsAtOnce; ++i) {
        const std::size_t r = first + i * blockDim.y;
        if (r < rows) body.finish(r, c, loaded[i]);
      }
    }
  }
}

template <class Body>
void transform_cells(cudaStream_t stream, std::size_t rows, std::size_t columns, const Body& body,
                     Start start = Start::early) {
  if (rows == 0 || columns == 0) return;
  const dim3 block = cell_block(columns);
  const std::size_t block_rows = std::size_t{kCellsAtOnce} * block.y;
  const dim3 grid(static_cast<unsigned>(std::min(ceil_divide(columns, block.x), kMaxGridX)),
                  static_cast<unsigned>(std::min(ceil_divide(rows, block_rows), kMaxGridY)));
  launch_kernel(start, stream, transform_cells_kernel<Body>, grid, block, 0, rows, columns, body);
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
