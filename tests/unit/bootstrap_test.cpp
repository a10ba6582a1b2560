#include "coordinator/bootstrap.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace fp8cal {
namespace {

Perplexity constant_windows(const std::vector<float>& nll_of_window) {
  Perplexity perplexity{.windows = nll_of_window.size(), .predictions = 3};
  for (const float nll : nll_of_window) perplexity.nll.insert(perplexity.nll.end(), 3, nll);
  return perplexity;
}

TEST(PerplexityDifference, OneWindowHasNoInterval) {
  EXPECT_FALSE(perplexity_difference(constant_windows({1}), constant_windows({2}), 1));
}

TEST(PerplexityDifference, EqualWindowsLeaveNoDoubt) {
  const auto found =
      perplexity_difference(constant_windows({1, 1, 1}), constant_windows({2, 2, 2}), 1);
  ASSERT_TRUE(found);
  const double exact = std::exp(2.0) - std::exp(1.0);
  EXPECT_DOUBLE_EQ(found->difference, exact);
  EXPECT_DOUBLE_EQ(found->low, exact);
  EXPECT_DOUBLE_EQ(found->high, exact);
}

TEST(PerplexityDifference, TwoWindowsDrawOneOfThreeMeans) {
  // The second twice: 0. The first twice: e^2 - e = 4.67. One of each: e^2.5 - e^2 = 4.79.
  const auto found = perplexity_difference(constant_windows({1, 3}), constant_windows({2, 3}), 7);
  ASSERT_TRUE(found);
  EXPECT_DOUBLE_EQ(found->difference, std::exp(2.5) - std::exp(2.0));
  EXPECT_DOUBLE_EQ(found->low, 0.0);
  EXPECT_DOUBLE_EQ(found->high, std::exp(2.5) - std::exp(2.0));
}

/// With many windows the interval is that of the normal approximation, which needs no draws.
TEST(PerplexityDifference, AgreesWithTheNormalApproximation) {
  std::mt19937_64 generator(5);
  std::normal_distribution<float> noise(0.02f, 0.1f);
  std::vector<float> before, after;
  double mean = 0, square = 0;
  constexpr int kWindows = 400;
  for (int i = 0; i < kWindows; ++i) {
    const float change = noise(generator);
    before.push_back(2.0f);
    after.push_back(2.0f + change);
    mean += static_cast<double>(change) / kWindows;
    square += static_cast<double>(change) * static_cast<double>(change) / kWindows;
  }
  const double error = std::sqrt((square - mean * mean) / kWindows);
  const auto found = perplexity_difference(constant_windows(before), constant_windows(after), 11);
  ASSERT_TRUE(found);
  const auto difference = [&](double change) { return std::exp(2.0 + change) - std::exp(2.0); };
  EXPECT_NEAR(found->low, difference(mean - 1.96 * error), 0.15 * difference(error));
  EXPECT_NEAR(found->high, difference(mean + 1.96 * error), 0.15 * difference(error));
}

TEST(PerplexityDifference, TheSeedDecidesTheDraws) {
  const Perplexity before = constant_windows({1, 2, 3, 4, 5, 6, 7});
  const Perplexity after = constant_windows({1.1f, 2.3f, 2.9f, 4.2f, 5, 6.05f, 7.7f});
  const auto first = perplexity_difference(before, after, 1);
  const auto again = perplexity_difference(before, after, 1);
  EXPECT_EQ(first->low, again->low);
  EXPECT_EQ(first->high, again->high);
}

}  // namespace
}  // namespace fp8cal
