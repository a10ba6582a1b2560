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

WindowSums WindowSums::of(const Perplexity& base, const Perplexity& variant) {
  return {.base = window_sums(base),
          .variant = window_sums(variant),
          .tokens = static_cast<double>(base.tokens())};
}

std::optional<Interval> mean_difference_interval(const std::vector<WindowSums>& pairs,
                                                 std::uint64_t seed) {
  const std::size_t windows = pairs.front().base.size();
  if (windows < 2) return std::nullopt;
  std::mt19937_64 generator(seed);
  std::vector<double> differences(kDraws);
  std::vector<std::size_t> drawn(windows);
  for (double& difference : differences) {
    for (std::size_t& window : drawn) window = draw_below(windows, generator);
    double total = 0;
    for (const WindowSums& pair : pairs) {
      double base = 0;
      double variant = 0;
      for (const std::size_t window : drawn) {
        base += pair.base[window];
        variant += pair.variant[window];
      }
      total += std::exp(variant / pair.tokens) - std::exp(base / pair.tokens);
    }
    difference = total / static_cast<double>(pairs.size());
  }
  std::ranges::sort(differences);
  const std::size_t tail = static_cast<std::size_t>(kTail * kDraws);
  return Interval{.low = differences[tail], .high = differences[kDraws - 1 - tail]};
}

std::optional<PerplexityDifference> perplexity_difference(const Perplexity& bf16,
                                                          const Perplexity& variant,
                                                          std::uint64_t seed) {
  if (bf16.windows < 2) return std::nullopt;
  const auto interval = mean_difference_interval({WindowSums::of(bf16, variant)}, seed);
  return PerplexityDifference{
      .difference = variant.ppl() - bf16.ppl(), .low = interval->low, .high = interval->high};
}

}  // namespace fp8cal
