#include "kernels/checks.hpp"
#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/few_rows_norm.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/pack.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/rotation.cuh"
#include "kernels/cuda/rows.cuh"

namespace fp8cal {
namespace {

using Bf16 = std::uint16_t;

template <bool whole>
struct Embed {
  const std::uint32_t* ids;
  std::uint32_t first_id;
  std::size_t table_rows;
  Rows<const Bf16> table;
  Rows<Bf16> out;
  std::size_t cols;

  __device__ Pack load(std::size_t r, std::size_t pack) const {
    const std::size_t c = pack * kPack;
    const std::uint32_t id = ids[r];
    const bool held = id >= first_id && id - first_id < table_rows;
    return held ? fp8cal::load<whole>(table.at(id - first_id, c), pack_size<whole>(c, cols))
                : Pack{};
  }
  __device__ void finish(std::size_t r, std::size_t pack, const Pack& row) const {
    const std::size_t c = pack * kPack;
    store<whole>(row, pack_size<whole>(c, cols), out.at(r, c));
  }
};

struct Summands {
  Pack residual, delta;
};

template <bool whole>
struct Add {
  Rows<Bf16> residual;
  Parts delta;
  std::size_t cols;

  __device__ Summands load(std::size_t r, std::size_t pack) const {
    const std::size_t c = pack * kPack;
    const unsigned count = pack_size<whole>(c, cols);
    return {fp8cal::load<whole>(residual.at(r, c), count), delta.load_pack<whole>(r, c, count)};
  }
  __device__ void finish(std::size_t r, std::size_t pack, const Summands& summands) const {
    const std::size_t c = pack * kPack;
    store<whole>(sum_of(summands.residual, summands.delta), pack_size<whole>(c, cols),
                 residual.at(r, c));
  }
};

/// The sum of squares runs over a thread's packs, then over the threads, whatever the alignment.
template <bool whole>
__global__ void __launch_bounds__(kThreads)
    add_rms_norm_kernel(Rows<Bf16> residual, Parts delta, const Bf16* weight, float epsilon,
                        Rows<Bf16> out, std::size_t rows, std::size_t cols) {
  let_next_start();
  wait_for_earlier();
  const std::size_t first = threadIdx.x * kPack;
  const std::size_t step = blockDim.x * kPack;
  for (std::size_t r = blockIdx.x; r < rows; r += gridDim.x) {
    float squares = 0.0f;
#pragma unroll 2
    for (std::size_t c = first; c < cols; c += step) {
      const unsigned count = pack_size<whole>(c, cols);
      Pack x = load<whole>(residual.at(r, c), count);
      if (delta.data.data != nullptr) {
        x = sum_of(x, delta.load_pack<whole>(r, c, count));
        store<whole>(x, count, residual.at(r, c));
      }
      add_squares(squares, x);
    }
    const float factor = rms_factor(block_sum(squares), cols, epsilon);
    // Each thread reads again what it has just written, from a cache.
#pragma unroll 2
    for (std::size_t c = first; c < cols; c += step) {
      const unsigned count = pack_size<whole>(c, cols);
      const Pack x = load<whole>(residual.at(r, c), count);
      const Pack w = load<whole>(weight + c, count);
      store<whole>(normalised(x, factor, w), count, out.at(r, c));
    }
  }
}

template <bool aligned>
struct Rope {
  Rows<Bf16> x;
  Rows<const Bf16> cosine, sine;
  std::size_t positions;
  unsigned half;
  unsigned head_packs;  // packs of half a head

  __device__ void operator()(std::size_t r, std::size_t pack) const {
    const unsigned head = static_cast<unsigned>(pack) / head_packs;
    const unsigned c = static_cast<unsigned>(pack) % head_packs * kPack;
    const unsigned count = pack_size(c, half);
    const std::size_t position = r % positions;
    Bf16* to = x.at(r, std::size_t{head} * 2 * half + c);
    Pack first = load<aligned>(to, count);
    Pack second = load<aligned>(to + half, count);
    const Pack cosines = load<aligned>(cosine.at(position, c), count);
    const Pack sines = load<aligned>(sine.at(position, c), count);
#pragma unroll
    for (unsigned i = 0; i < kPack; ++i)
      rotate(first.at[i], second.at[i], cosines.at[i], sines.at[i]);
    store<aligned>(first, count, to);
    store<aligned>(second, count, to + half);
  }
};

struct Factors {
  Pack gate, up;
};

template <bool whole>
struct SiluMultiply {
  Rows<const Bf16> gate, up;
  Rows<Bf16> out;
  std::size_t cols;

  __device__ Factors load(std::size_t r, std::size_t pack) const {
    const std::size_t c = pack * kPack;
    const unsigned count = pack_size<whole>(c, cols);
    return {fp8cal::load<whole>(gate.at(r, c), count), fp8cal::load<whole>(up.at(r, c), count)};
  }
  __device__ void finish(std::size_t r, std::size_t pack, const Factors& factors) const {
    const std::size_t c = pack * kPack;
    store<whole>(silu_product(factors.gate, factors.up), pack_size<whole>(c, cols), out.at(r, c));
  }
};

/// Copies in units of T. Strides and columns count units.
template <class T>
struct Interleave {
  const T* gathered;
  Rows<T> out;
  std::size_t rows;
  unsigned part_cols;

  __device__ T load(std::size_t r, std::size_t column) const {
    const unsigned part = static_cast<unsigned>(column) / part_cols;
    const unsigned c = static_cast<unsigned>(column) % part_cols;
    return gathered[(part * rows + r) * part_cols + c];
  }
  __device__ void finish(std::size_t r, std::size_t column, const T& value) const {
    *out.at(r, column) = value;
  }
};

template <class T>
void interleave(cudaStream_t stream, const void* gathered, std::size_t part_bytes, Matrix out) {
  const std::size_t row_bytes = out.cols * size_of(out.dtype);
  const std::size_t stride_bytes = out.stride * size_of(out.dtype);
  transform_cells(stream, out.rows, row_bytes / sizeof(T),
                  Interleave<T>{static_cast<const T*>(gathered),
                                {static_cast<T*>(out.data), stride_bytes / sizeof(T)},
                                out.rows,
                                static_cast<unsigned>(part_bytes / sizeof(T))});
}

}  // namespace

// Reads and writes 2 bytes each an element of out. A pass begins with it: decode_attention, which
// starts early, relies on its start in turn.
void cuda_embed(cudaStream_t stream, const std::uint32_t* ids, ConstMatrix table,
                std::uint32_t first_id, Matrix out) {
  expect_matrix("embed: table", table, table.rows, table.cols);
  expect_matrix("embed: out", out, out.rows, table.cols);
  const auto launch = [&](auto operation) {
    transform_cells(stream, out.rows, ceil_divide(out.cols, kPack), operation, Start::in_turn);
  };
  const Rows<const Bf16> from = rows_of<Bf16>(table);
  const Rows<Bf16> to = rows_of<Bf16>(out);
  if (packs_whole(table, out)) {
    launch(Embed<true>{ids, first_id, table.rows, from, to, out.cols});
  } else {
    launch(Embed<false>{ids, first_id, table.rows, from, to, out.cols});
  }
}

// Reads 4 bytes and writes 4 an element; without delta 2 and 2.
void cuda_add_rms_norm(cudaStream_t stream, Matrix residual, ConstMatrix delta, ConstMatrix weight,
                       float epsilon, Matrix out) {
  expect_matrix("add_rms_norm: residual", residual, residual.rows, residual.cols);
  if (delta.data != nullptr) {
    expect_parts("add_rms_norm: delta", delta, residual.rows, residual.cols);
  }
  expect_matrix("add_rms_norm: weight", weight, 1, residual.cols);
  expect_matrix("add_rms_norm: out", out, residual.rows, residual.cols);
  if (residual.rows == 0 || residual.cols == 0) return;
  if (cuda_few_rows_norm(stream, residual, delta, weight, epsilon, out)) return;
  const bool whole = packs_whole(residual, weight, out) && parts_whole(delta);
  const auto kernel = whole ? add_rms_norm_kernel<true> : add_rms_norm_kernel<false>;
  launch_early(stream, kernel, row_blocks(residual.rows), row_threads(residual.cols), 0,
               rows_of<Bf16>(residual), parts_of(delta, residual), weight.row<Bf16>(0), epsilon,
               rows_of<Bf16>(out), residual.rows, residual.cols);
}

// Reads 4 bytes and writes 2 an element.
void cuda_add(cudaStream_t stream, Matrix residual, ConstMatrix delta) {
  expect_matrix("add: residual", residual, residual.rows, residual.cols);
  expect_parts("add: delta", delta, residual.rows, residual.cols);
  const auto launch = [&](auto operation) {
    transform_cells(stream, residual.rows, ceil_divide(residual.cols, kPack), operation);
  };
  const Rows<Bf16> to = rows_of<Bf16>(residual);
  if (packs_whole(residual, delta)) {
    launch(Add<true>{to, parts_of(delta, residual), residual.cols});
  } else {
    launch(Add<false>{to, parts_of(delta, residual), residual.cols});
  }
}

// Reads and writes 2 bytes each an element; the tables stay in the L2 cache.
void cuda_rope(cudaStream_t stream, Matrix x, std::size_t head_dim, ConstMatrix cosine,
               ConstMatrix sine) {
  expect_multiple("rope: head_dim", head_dim, 2);
  expect_multiple("rope: columns of x", x.cols, head_dim);
  const std::size_t half = head_dim / 2;
  expect_matrix("rope: x", x, x.rows, x.cols);
  const std::size_t positions = cosine.rows == 0 ? x.rows : cosine.rows;
  expect_matrix("rope: cosine", cosine, positions, half);
  expect_matrix("rope: sine", sine, positions, half);
  const std::size_t head_packs = ceil_divide(half, kPack);
  const auto launch = [&](auto operation) {
    each_cell(stream, x.rows, x.cols / head_dim * head_packs, operation);
  };
  const auto half_u32 = static_cast<unsigned>(half);
  const auto packs_u32 = static_cast<unsigned>(head_packs);
  const Rows<const Bf16> cosines = rows_of<Bf16>(cosine), sines = rows_of<Bf16>(sine);
  const Rows<Bf16> rotated = rows_of<Bf16>(x);
  if (packs_whole(x, cosine, sine)) {
    launch(Rope<true>{rotated, cosines, sines, positions, half_u32, packs_u32});
  } else {
    launch(Rope<false>{rotated, cosines, sines, positions, half_u32, packs_u32});
  }
}

// Reads 4 bytes and writes 2 an element.
void cuda_silu_multiply(cudaStream_t stream, ConstMatrix gate, ConstMatrix up, Matrix out) {
  expect_matrix("silu_multiply: gate", gate, gate.rows, gate.cols);
  expect_matrix("silu_multiply: up", up, gate.rows, gate.cols);
  expect_matrix("silu_multiply: out", out, gate.rows, gate.cols);
  const auto launch = [&](auto operation) {
    transform_cells(stream, out.rows, ceil_divide(out.cols, kPack), operation);
  };
  const Rows<const Bf16> gates = rows_of<Bf16>(gate), ups = rows_of<Bf16>(up);
  if (packs_whole(gate, up, out)) {
    launch(SiluMultiply<true>{gates, ups, rows_of<Bf16>(out), out.cols});
  } else {
    launch(SiluMultiply<false>{gates, ups, rows_of<Bf16>(out), out.cols});
  }
}

// Reads and writes every byte of out once.
void cuda_interleave_columns(cudaStream_t stream, const void* gathered, std::size_t parts,
                             Matrix out) {
  expect_multiple("interleave_columns: columns of out", out.cols, parts);
  expect_matrix("interleave_columns: out", out, out.rows, out.cols, out.dtype);
  const std::size_t part_bytes = out.cols / parts * size_of(out.dtype);
  const bool whole = part_bytes % sizeof(uint4) == 0 && rows_aligned(out, sizeof(uint4)) &&
                     reinterpret_cast<std::uintptr_t>(gathered) % sizeof(uint4) == 0;
  if (whole) {
    interleave<uint4>(stream, gathered, part_bytes, out);
  } else if (size_of(out.dtype) == 4) {
    interleave<std::uint32_t>(stream, gathered, part_bytes, out);
  } else if (size_of(out.dtype) == 2) {
    interleave<std::uint16_t>(stream, gathered, part_bytes, out);
  } else {
    interleave<std::uint8_t>(stream, gathered, part_bytes, out);
  }
}

}  // namespace fp8cal
