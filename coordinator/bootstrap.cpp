#include "coordinator/bootstrap.hpp"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "jobs/random.hpp"

namespace fp8cal {
namespace {

constexpr std::size_t kDraws = 10'000;
constexpr double kTail = 0.025;

/// Sum of the NLLs of each window.
std::vector<double> window_sums(const Perplexity& perplexity) {
  std::vector<double> sums(perplexity.windows, 0.0);
  for (std::size_t i = 0; i < perplexity.nll.size(); ++i) {
    sums[i / perplexity.predictions] += perplexity.nll[i];
  }
  return sums;
}

}  // namespace

std::optional<PerplexityDifference> perplexity_difference(const Perplexity& bf16,
                                                          const Perplexity& variant,
                                                          std::uint64_t seed) {
  if (bf16.windows < 2) return std::nullopt;
  const std::vector<double> before = window_sums(bf16);
  const std::vector<double> after = window_sums(variant);
  const double tokens = static_cast<double>(bf16.tokens());
  std::mt19937_64 generator(seed);
  std::vector<double> differences(kDraws);
  for (double& difference : differences) {
    double sum_before = 0;
    double sum_after = 0;
    for (std::size_t i = 0; i < before.size(); ++i) {
      const std::uint64_t window = draw_below(before.size(), generator);
      sum_before += before[window];
      sum_after += after[window];
    }
    difference = std::exp(sum_after / tokens) - std::exp(sum_before / tokens);
  }
  std::ranges::sort(differences);
  const std::size_t tail = static_cast<std::size_t>(kTail * kDraws);
  return PerplexityDifference{.difference = variant.ppl() - bf16.ppl(),
                              .low = differences[tail],
                              .high = differences[kDraws - 1 - tail]};
}

}  // namespace fp8cal
