#include "kernels/cpu/cached_attention.hpp"

#include <algorithm>
#include <cstring>

#include "kernels/checks.hpp"
#include "kernels/cpu/aligned_array.hpp"
#include "kernels/cpu/attention_head.hpp"

namespace fp8cal {
namespace {

using Bf16 = std::uint16_t;

/// A scale of the tensor is that of every head.
float scale_of_head(const Scales& scales, std::size_t head) {
  return scales.data[scales.count == 1 ? 0 : head];
}

void expect_positions(const char* name, const std::uint32_t* positions, std::size_t count,
                      std::size_t limit) {
  for (std::size_t r = 0; r < count; ++r)
    expect_at_most(name, positions[r] + std::size_t{1}, limit);
}

/// x [1, heads * head_dim] becomes row `row` of what the cache keeps of it.
void keep_row(const VectorKernels& kernels, const Bf16* x, std::size_t head_dim,
              const Scales& scales, const Matrix& kept, std::size_t row) {
  if (kept.dtype == DType::bf16) {
    std::memcpy(kept.row<Bf16>(row), x, kept.cols * sizeof(Bf16));
    return;
  }
  const auto quantize = kept.dtype == DType::e4m3 ? kernels.quantize_e4m3 : kernels.quantize_e5m2;
  for (std::size_t c = 0; c < kept.cols; c += head_dim) {
    quantize(x + c, scale_of_head(scales, c / head_dim), head_dim, kept.row<std::uint8_t>(row) + c);
  }
}

/// Rows [row, row + rows) of one KV head as BF16: where they are in FP8, in `scratch`.
ConstMatrix read_head(const VectorKernels& kernels, const Matrix& kept, const Scales& scales,
                      std::size_t row, std::size_t rows, std::size_t head, std::size_t head_dim,
                      AlignedArray<Bf16>& scratch) {
  if (kept.dtype == DType::bf16) return head_of(kept, row, rows, head, head_dim);
  const auto dequantize =
      kept.dtype == DType::e4m3 ? kernels.dequantize_e4m3 : kernels.dequantize_e5m2;
  const Matrix wide = Matrix::dense(scratch.at_least(rows * head_dim), DType::bf16, rows, head_dim);
  for (std::size_t r = 0; r < rows; ++r) {
    dequantize(kept.row<std::uint8_t>(row + r) + head * head_dim, scale_of_head(scales, head),
               head_dim, wide.row<Bf16>(r));
  }
  return wide;
}

}  // namespace

void cpu_rope_append(const CpuContext& context, Matrix q, Matrix k, ConstMatrix v,
                     std::size_t head_dim, ConstMatrix cosine, ConstMatrix sine,
                     const std::uint32_t* positions, const KvCache& cache) {
  expect_multiple("rope_append: head_dim", head_dim, 2);
  expect_multiple("rope_append: columns of q", q.cols, head_dim);
  expect_multiple("rope_append: columns of k", k.cols, head_dim);
  expect_matrix("rope_append: q", q, q.rows, q.cols);
  expect_matrix("rope_append: k", k, q.rows, k.cols);
  expect_matrix("rope_append: v", v, q.rows, k.cols);
  expect_matrix("rope_append: cosine", cosine, cosine.rows, head_dim / 2);
  expect_matrix("rope_append: sine", sine, cosine.rows, head_dim / 2);
  expect_cache("rope_append: cache", cache, k.cols, k.cols / head_dim);
  if (q.rows == 0) return;
  expect_multiple("rope_append: rows of q", q.rows, cache.sequences());
  expect_positions("rope_append: positions", positions, q.rows,
                   std::min(cosine.rows, cache.capacity));

  const std::size_t sequence_rows = q.rows / cache.sequences();
  const auto append_row = [&](std::size_t r) {
    const std::size_t position = positions[r];
    for (const Matrix& x : {q, k}) {
      for (std::size_t c = 0; c < x.cols; c += head_dim) {
        context.kernels.rotate(x.row<Bf16>(r) + c, cosine.row<Bf16>(position),
                               sine.row<Bf16>(position), head_dim / 2);
      }
    }
    const std::size_t row = r / sequence_rows * cache.capacity + position;
    keep_row(context.kernels, k.row<Bf16>(r), head_dim, cache.key_scale, cache.keys, row);
    keep_row(context.kernels, v.row<Bf16>(r), head_dim, cache.value_scale, cache.values, row);
  };
  context.pool.parallel_ranges(q.rows, (q.cols + 2 * k.cols) / 2 + 1,
                               [&](std::size_t first, std::size_t last) {
                                 for (std::size_t r = first; r < last; ++r) append_row(r);
                               });
}

void cpu_cached_attention(const CpuContext& context, ConstMatrix q, const KvCache& cache,
                          const std::uint32_t* positions, std::size_t head_dim, Matrix out) {
  const std::size_t kv_cols = cache.keys.cols;
  expect_multiple("cached_attention: columns of q", q.cols, head_dim);
  expect_multiple("cached_attention: columns of keys", kv_cols, head_dim);
  const std::size_t kv_heads = kv_cols / head_dim;
  expect_cache("cached_attention: cache", cache, kv_cols, kv_heads);
  expect_matrix("cached_attention: q", q, cache.sequences(), q.cols);
  expect_matrix("cached_attention: out", out, q.rows, q.cols);
  if (q.rows == 0 || q.cols == 0) return;
  expect_multiple("cached_attention: heads of q", q.cols / head_dim, kv_heads);
  expect_positions("cached_attention: positions", positions, q.rows, cache.capacity);

  const std::size_t group = q.cols / head_dim / kv_heads;
  const std::size_t work = group * cache.capacity * head_dim / 20;  // nanoseconds, at most
  context.pool.parallel_for(q.rows * kv_heads, work, [&](std::size_t i) {
    thread_local AlignedArray<Bf16> wide_keys, wide_values;
    const std::size_t sequence = i / kv_heads;
    const std::size_t kv_head = i % kv_heads;
    const std::size_t first = sequence * cache.capacity;
    const std::size_t seen = positions[sequence] + std::size_t{1};
    const ConstMatrix keys = read_head(context.kernels, cache.keys, cache.key_scale, first, seen,
                                       kv_head, head_dim, wide_keys);
    const ConstMatrix values = read_head(context.kernels, cache.values, cache.value_scale, first,
                                         seen, kv_head, head_dim, wide_values);
    for (std::size_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
      attend_head(context.kernels, head_of(q, sequence, 1, head, head_dim), keys, values,
                  out.row_range(sequence, 1).column_range(head * head_dim, head_dim));
    }
  });
}

}  // namespace fp8cal
