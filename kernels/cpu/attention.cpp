#include "kernels/cpu/attention.hpp"

#include "kernels/checks.hpp"
#include "kernels/cpu/attention_head.hpp"

namespace fp8cal {

void cpu_attention(const CpuContext& context, ConstMatrix q, ConstMatrix k, ConstMatrix v,
                   std::size_t head_dim, std::size_t sequence_length, Matrix out) {
  expect_multiple("attention: columns of q", q.cols, head_dim);
  expect_multiple("attention: columns of k", k.cols, head_dim);
  const std::size_t q_heads = q.cols / head_dim;
  const std::size_t kv_heads = k.cols / head_dim;
  expect_matrix("attention: q", q, q.rows, q.cols);
  expect_matrix("attention: k", k, k.rows, k.cols);
  expect_matrix("attention: v", v, k.rows, k.cols);
  expect_matrix("attention: out", out, q.rows, q.cols);
  if (q_heads == 0 || q.rows == 0) return;
  expect_multiple("attention: heads of q", q_heads, kv_heads);
  expect_multiple("attention: rows", k.rows, sequence_length);
  const std::size_t sequences = k.rows / sequence_length;
  expect_multiple("attention: rows of q", q.rows, sequences);
  const std::size_t queries = q.rows / sequences;  // of a sequence
  expect_at_most("attention: rows of q in a sequence", queries, sequence_length);

  const std::size_t group = q_heads / kv_heads;
  const std::size_t work = queries * sequence_length * head_dim / 50;  // nanoseconds
  context.pool.parallel_for(sequences * q_heads, work, [&](std::size_t i) {
    const std::size_t sequence = i / q_heads;
    const std::size_t head = i % q_heads;
    const std::size_t key = sequence * sequence_length;
    const Matrix rows = out.row_range(sequence * queries, queries);
    attend_head(context.kernels, head_of(q, sequence * queries, queries, head, head_dim),
                head_of(k, key, sequence_length, head / group, head_dim),
                head_of(v, key, sequence_length, head / group, head_dim),
                rows.column_range(head * head_dim, head_dim));
  });
}

}  // namespace fp8cal
