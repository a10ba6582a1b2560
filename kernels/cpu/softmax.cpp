#include "kernels/cpu/softmax.hpp"

#include <algorithm>
#include <limits>

#include "kernels/checks.hpp"
#include "kernels/cpu/math.hpp"
#include "kernels/float_formats.hpp"

namespace fp8cal {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

/// One slice's share of one token.
struct Partial {
  float maximum;
  float sum;
  float target;
};

Partial partial_at(const float* partials, std::size_t index) {
  const float* at = partials + 3 * index;
  return {at[0], at[1], at[2]};
}

/// log(sum of exp) - target = log(sum of exp(logit - maximum)) + (maximum - target).
float negative_log_likelihood(const float* partials, std::size_t slices, std::size_t tokens,
                              std::size_t token) {
  float maximum = kMinusInfinity;
  float target = kMinusInfinity;
  for (std::size_t s = 0; s < slices; ++s) {
    const Partial partial = partial_at(partials, s * tokens + token);
    maximum = std::max(maximum, partial.maximum);
    target = std::max(target, partial.target);
  }
  float sum = 0.0f;
  for (std::size_t s = 0; s < slices; ++s) {
    const Partial partial = partial_at(partials, s * tokens + token);
    sum += partial.sum * exp_f32(partial.maximum - maximum);
  }
  return log_f32(sum) + (maximum - target);
}

}  // namespace

void cpu_softmax_partials(const CpuContext& context, ConstMatrix logits, std::uint32_t first_id,
                          const std::uint32_t* targets, float* partials) {
  expect_matrix("softmax_partials: logits", logits, logits.rows, logits.cols);
  const auto partials_of = [&](std::size_t t) {
    const std::uint16_t* row = logits.row<std::uint16_t>(t);
    float* out = partials + 3 * t;
    out[0] = context.kernels.maximum(row, logits.cols);
    out[1] = context.kernels.sum_of_exp(row, logits.cols, out[0]);
    const std::uint32_t target = targets[t];
    const bool held = target != kNoTarget && target >= first_id && target - first_id < logits.cols;
    out[2] = held ? bf16_to_float(row[target - first_id]) : kMinusInfinity;
  };
  context.pool.parallel_ranges(logits.rows, logits.cols + 1,
                               [&](std::size_t first, std::size_t last) {
                                 for (std::size_t t = first; t < last; ++t) partials_of(t);
                               });
}

void cpu_combine_partials(const CpuContext& context, const float* partials, std::size_t slices,
                          const std::uint32_t* targets, std::size_t tokens, float* nll) {
  context.pool.parallel_ranges(tokens, 20 * (slices + 1), [&](std::size_t first, std::size_t last) {
    for (std::size_t t = first; t < last; ++t) {
      nll[t] =
          targets[t] == kNoTarget ? 0.0f : negative_log_likelihood(partials, slices, tokens, t);
    }
  });
}

}  // namespace fp8cal
