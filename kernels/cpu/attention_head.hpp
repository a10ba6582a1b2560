#pragma once

#include "kernels/cpu/vector_kernels.hpp"
#include "kernels/matrix.hpp"

namespace fp8cal {

/// Causal attention of one head over one sequence of k.rows tokens: q and out have its last ones.
/// q, out [queries, head_dim], k, v [tokens, head_dim], all bf16; queries <= tokens.
void attend_head(const VectorKernels& kernels, ConstMatrix q, ConstMatrix k, ConstMatrix v,
                 Matrix out);

/// Rows [row, row + rows) of one head of x [tokens, heads * head_dim] bf16.
ConstMatrix head_of(const ConstMatrix& x, std::size_t row, std::size_t rows, std::size_t head,
                    std::size_t head_dim);

}  // namespace fp8cal
