#pragma once

#include <cuda_runtime.h>

#include <cstddef>

#include "kernels/matrix.hpp"

namespace fp8cal {

/// Backend::attention on tensor cores, for a head_dim of 32, 64 or 128. Probabilities are rounded
/// to bf16 before their row's sum divides them: the division comes last, in f32.
/// A row's bits depend on its own q and on the k and v of its sequence and head, on nothing else.
void cuda_attention(cudaStream_t stream, ConstMatrix q, ConstMatrix k, ConstMatrix v,
                    std::size_t head_dim, std::size_t sequence_length, Matrix out);

}  // namespace fp8cal
