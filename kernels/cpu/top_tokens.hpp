#pragma once

#include <limits>

#include "kernels/backend.hpp"
#include "kernels/cpu/context.hpp"

namespace fp8cal {

/// The largest of a row and where it stands first; -infinity and 0 where nothing is above that.
struct Top {
  float logit = -std::numeric_limits<float>::infinity();
  std::size_t column = 0;
};

/// Of row [cols] bf16.
Top top_of(const VectorKernels& kernels, const std::uint16_t* row, std::size_t cols);

/// As the methods of Backend with the same names.
void cpu_top_tokens(const CpuContext& context, ConstMatrix logits, std::uint32_t first_id,
                    TopToken* tops);
void cpu_next_tokens(const TopToken* tops, std::size_t slices, std::size_t rows, std::uint32_t* ids,
                     std::uint32_t* positions);

}  // namespace fp8cal
