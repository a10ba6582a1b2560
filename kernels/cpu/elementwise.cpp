#include "kernels/cpu/elementwise.hpp"

#include <cstring>

#include "kernels/checks.hpp"

namespace fp8cal {
namespace {

using Bf16 = std::uint16_t;

/// Calls body(row) for each row; an element takes about `picoseconds`.
template <class Body>
void each_row(const CpuContext& context, const ConstMatrix& matrix, std::size_t picoseconds,
              const Body& body) {
  context.pool.parallel_ranges(matrix.rows, matrix.cols * picoseconds / 1000 + 1,
                               [&](std::size_t first, std::size_t last) {
                                 for (std::size_t r = first; r < last; ++r) body(r);
                               });
}

/// residual[r] += delta, whose columns may lie in parts: see expect_parts.
void add_row(const CpuContext& context, const Matrix& residual, const ConstMatrix& delta,
             std::size_t r) {
  for (std::size_t c = 0, row = r; c < residual.cols; c += delta.cols, row += residual.rows) {
    context.kernels.add(residual.row<Bf16>(r) + c, delta.row<Bf16>(row), delta.cols);
  }
}

}  // namespace

void cpu_embed(const CpuContext& context, const std::uint32_t* ids, ConstMatrix table,
               std::uint32_t first_id, Matrix out) {
  expect_matrix("embed: table", table, table.rows, table.cols);
  expect_matrix("embed: out", out, out.rows, table.cols);
  if (out.cols == 0) return;
  each_row(context, out, 100, [&](std::size_t r) {
    const bool held = ids[r] >= first_id && ids[r] - first_id < table.rows;
    if (held) {
      std::memcpy(out.row<Bf16>(r), table.row<Bf16>(ids[r] - first_id), out.cols * sizeof(Bf16));
    } else {
      std::memset(out.row<Bf16>(r), 0, out.cols * sizeof(Bf16));
    }
  });
}

void cpu_add_rms_norm(const CpuContext& context, Matrix residual, ConstMatrix delta,
                      ConstMatrix weight, float epsilon, Matrix out) {
  expect_matrix("add_rms_norm: residual", residual, residual.rows, residual.cols);
  if (delta.data != nullptr) {
    expect_parts("add_rms_norm: delta", delta, residual.rows, residual.cols);
  }
  expect_matrix("add_rms_norm: weight", weight, 1, residual.cols);
  expect_matrix("add_rms_norm: out", out, residual.rows, residual.cols);
  each_row(context, residual, 500, [&](std::size_t r) {
    Bf16* row = residual.row<Bf16>(r);
    if (delta.data != nullptr) add_row(context, residual, delta, r);
    context.kernels.rms_norm(row, weight.row<Bf16>(0), epsilon, residual.cols, out.row<Bf16>(r));
  });
}

void cpu_add(const CpuContext& context, Matrix residual, ConstMatrix delta) {
  expect_matrix("add: residual", residual, residual.rows, residual.cols);
  expect_parts("add: delta", delta, residual.rows, residual.cols);
  each_row(context, residual, 200, [&](std::size_t r) { add_row(context, residual, delta, r); });
}

void cpu_rope(const CpuContext& context, Matrix x, std::size_t head_dim, ConstMatrix cosine,
              ConstMatrix sine) {
  expect_multiple("rope: head_dim", head_dim, 2);
  expect_multiple("rope: columns of x", x.cols, head_dim);
  const std::size_t half = head_dim / 2;
  expect_matrix("rope: x", x, x.rows, x.cols);
  const std::size_t positions = cosine.rows == 0 ? x.rows : cosine.rows;
  expect_matrix("rope: cosine", cosine, positions, half);
  expect_matrix("rope: sine", sine, positions, half);
  each_row(context, x, 500, [&](std::size_t r) {
    const std::size_t position = r % positions;
    for (std::size_t c = 0; c < x.cols; c += head_dim) {
      context.kernels.rotate(x.row<Bf16>(r) + c, cosine.row<Bf16>(position),
                             sine.row<Bf16>(position), half);
    }
  });
}

void cpu_silu_multiply(const CpuContext& context, ConstMatrix gate, ConstMatrix up, Matrix out) {
  expect_matrix("silu_multiply: gate", gate, gate.rows, gate.cols);
  expect_matrix("silu_multiply: up", up, gate.rows, gate.cols);
  expect_matrix("silu_multiply: out", out, gate.rows, gate.cols);
  each_row(context, gate, 1500, [&](std::size_t r) {
    context.kernels.silu_multiply(gate.row<Bf16>(r), up.row<Bf16>(r), gate.cols, out.row<Bf16>(r));
  });
}

void cpu_interleave_columns(const CpuContext& context, const void* gathered, std::size_t parts,
                            Matrix out) {
  expect_multiple("interleave_columns: columns of out", out.cols, parts);
  expect_matrix("interleave_columns: out", out, out.rows, out.cols, out.dtype);
  const std::size_t part_bytes = out.cols / parts * size_of(out.dtype);
  if (part_bytes == 0) return;
  each_row(context, out, 200, [&](std::size_t r) {
    std::byte* row = static_cast<std::byte*>(out.data) + r * out.stride * size_of(out.dtype);
    for (std::size_t p = 0; p < parts; ++p) {
      const std::byte* part =
          static_cast<const std::byte*>(gathered) + (p * out.rows + r) * part_bytes;
      std::memcpy(row + p * part_bytes, part, part_bytes);
    }
  });
}

}  // namespace fp8cal
