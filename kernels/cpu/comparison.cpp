#include "kernels/cpu/comparison.hpp"

#include <algorithm>
#include <limits>

#include "kernels/checks.hpp"
#include "kernels/cpu/math.hpp"
#include "kernels/cpu/top_tokens.hpp"

namespace fp8cal {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

/// Sums run over blocks of so many elements and then over the blocks, to round less.
constexpr std::size_t kBlock = 1024;

/// What exponents are relative to: exp(-infinity - base) is to be 0 and not NaN.
float base_of(float maximum) { return maximum == kMinusInfinity ? 0.0f : maximum; }

ComparisonPartial partial_of(const VectorKernels& kernels, const std::uint16_t* p,
                             const std::uint16_t* q, std::size_t cols, std::uint32_t first_id) {
  const Top p_top = top_of(kernels, p, cols), q_top = top_of(kernels, q, cols);
  float p_sum = 0.0f, weighted = 0.0f, q_sum = 0.0f;
  for (std::size_t c = 0; c < cols; c += kBlock) {
    const std::size_t count = std::min(kBlock, cols - c);
    p_sum += kernels.sum_of_exp(p + c, count, base_of(p_top.logit));
    weighted += kernels.sum_of_weighted(p + c, q + c, count, base_of(p_top.logit));
    q_sum += kernels.sum_of_exp(q + c, count, base_of(q_top.logit));
  }
  return {p_top.logit,
          p_sum,
          weighted,
          q_top.logit,
          q_sum,
          first_id + static_cast<std::uint32_t>(p_top.column),
          first_id + static_cast<std::uint32_t>(q_top.column)};
}

/// All slices of one token.
struct Whole {
  float p_maximum = kMinusInfinity, q_maximum = kMinusInfinity;
  std::uint32_t p_top = 0, q_top = 0;
  float p_sum = 0.0f, weighted = 0.0f, q_sum = 0.0f;
};

Whole whole_of(const ComparisonPartial* partials, std::size_t slices, std::size_t tokens,
               std::size_t token) {
  Whole whole;
  for (std::size_t s = 0; s < slices; ++s) {
    const ComparisonPartial& slice = partials[s * tokens + token];
    if (slice.p_maximum > whole.p_maximum) {
      whole.p_maximum = slice.p_maximum;
      whole.p_top = slice.p_top;
    }
    if (slice.q_maximum > whole.q_maximum) {
      whole.q_maximum = slice.q_maximum;
      whole.q_top = slice.q_top;
    }
  }
  for (std::size_t s = 0; s < slices; ++s) {
    const ComparisonPartial& slice = partials[s * tokens + token];
    const float p_factor = exp_f32(slice.p_maximum - whole.p_maximum);
    whole.p_sum += slice.p_sum * p_factor;
    whole.weighted += p_factor == 0.0f ? 0.0f : slice.weighted * p_factor;
    whole.q_sum += slice.q_sum * exp_f32(slice.q_maximum - whole.q_maximum);
  }
  return whole;
}

/// With P and Q the sums of exp, log(p / q) = (p's logit - log P) - (q's logit - log Q), and the
/// mean over p of the difference of the logits is weighted / P. Of large terms only differences are
/// taken, so equal logits give exactly 0.
float divergence(const Whole& whole) {
  const float kl = whole.weighted / whole.p_sum +
                   ((whole.q_maximum - whole.p_maximum) + log_f32(whole.q_sum / whole.p_sum));
  return kl < 0.0f ? 0.0f : kl;  // NaN stays
}

}  // namespace

void cpu_comparison_partials(const CpuContext& context, ConstMatrix p, ConstMatrix q,
                             std::uint32_t first_id, ComparisonPartial* partials) {
  expect_matrix("comparison_partials: p", p, p.rows, p.cols);
  expect_matrix("comparison_partials: q", q, p.rows, p.cols);
  context.pool.parallel_ranges(p.rows, 2 * p.cols + 1, [&](std::size_t first, std::size_t last) {
    for (std::size_t t = first; t < last; ++t) {
      partials[t] = partial_of(context.kernels, p.row<std::uint16_t>(t), q.row<std::uint16_t>(t),
                               p.cols, first_id);
    }
  });
}

void cpu_combine_comparison(const CpuContext& context, const ComparisonPartial* partials,
                            std::size_t slices, std::size_t tokens, float* kl,
                            std::uint8_t* same_top) {
  context.pool.parallel_ranges(tokens, 30 * (slices + 1), [&](std::size_t first, std::size_t last) {
    for (std::size_t t = first; t < last; ++t) {
      const Whole whole = whole_of(partials, slices, tokens, t);
      kl[t] = divergence(whole);
      same_top[t] = whole.p_top == whole.q_top ? 1 : 0;
    }
  });
}

}  // namespace fp8cal
