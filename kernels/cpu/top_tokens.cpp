#include "kernels/cpu/top_tokens.hpp"

#include <algorithm>

#include "kernels/checks.hpp"
#include "kernels/float_formats.hpp"

namespace fp8cal {
namespace {

/// The row is searched for its largest in steps of so many elements.
constexpr std::size_t kBlock = 1024;

}  // namespace

Top top_of(const VectorKernels& kernels, const std::uint16_t* row, std::size_t cols) {
  Top top;
  const float nothing = top.logit;
  for (std::size_t c = 0; c < cols; c += kBlock) {
    const float largest = kernels.maximum(row + c, std::min(kBlock, cols - c));
    if (largest > top.logit) top = {largest, c};
  }
  if (top.logit == nothing) return top;
  while (bf16_to_float(row[top.column]) != top.logit) ++top.column;
  return top;
}

void cpu_top_tokens(const CpuContext& context, ConstMatrix logits, std::uint32_t first_id,
                    TopToken* tops) {
  expect_matrix("top_tokens: logits", logits, logits.rows, logits.cols);
  context.pool.parallel_ranges(
      logits.rows, logits.cols + 1, [&](std::size_t first, std::size_t last) {
        for (std::size_t r = first; r < last; ++r) {
          const Top top = top_of(context.kernels, logits.row<std::uint16_t>(r), logits.cols);
          tops[r] = {top.logit, first_id + static_cast<std::uint32_t>(top.column)};
        }
      });
}

void cpu_next_tokens(const TopToken* tops, std::size_t slices, std::size_t rows, std::uint32_t* ids,
                     std::uint32_t* positions) {
  for (std::size_t r = 0; r < rows; ++r) {
    TopToken best = {Top().logit, 0};
    for (std::size_t s = 0; s < slices; ++s) {
      const TopToken& one = tops[s * rows + r];
      if (one.logit > best.logit) best = one;
    }
    ids[r] = best.id;
    ++positions[r];
  }
}

}  // namespace fp8cal
