#include "coordinator/distribution.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "kernels/float_formats.hpp"
#include "tests/unit/error_text.hpp"

namespace fp8cal {
namespace {

using Kind = ScalePolicy::Kind;
using Histogram = std::vector<std::uint64_t>;

constexpr ScalePolicy kMse = {.kind = Kind::mse};

ScalePolicy percentile(double percent) { return {.kind = Kind::percentile, .percent = percent}; }

Histogram histogram_of(const std::vector<float>& values) {
  Histogram histogram(32768);
  for (float value : values) ++histogram[float_to_bf16(std::fabs(value))];
  return histogram;
}

/// Normally distributed, some of them planted far out.
Histogram random_histogram(unsigned seed, float outlier) {
  std::mt19937 draw(seed);
  std::normal_distribution<float> normal(0.0f, 1.0f);
  std::vector<float> values;
  for (int i = 0; i < 20000; ++i) values.push_back(normal(draw) * (i < 20 ? outlier : 1.0f));
  return histogram_of(values);
}

/// As the definition says, element by element.
double brute_force_error(const Histogram& histogram, float scale) {
  double error = 0;
  for (std::size_t b = 0; b < histogram.size(); ++b) {
    const float x = bf16_to_float(static_cast<bf16_bits>(b));
    if (histogram[b] == 0) continue;
    const double value = e4m3_to_float(float_to_e4m3(std::min(x / scale, 448.0f)));
    const double off = x - value * static_cast<double>(scale);
    error += static_cast<double>(histogram[b]) * off * off;
  }
  return error;
}

TEST(Distribution, PercentilesAreCountedByHand) {
  const Distribution four(histogram_of({1.0f, -2.0f, 3.0f, 100.0f}));
  EXPECT_EQ(four.clipping_magnitude({}), 100.0f);
  EXPECT_EQ(four.clipping_magnitude(percentile(100)), 100.0f);
  EXPECT_EQ(four.clipping_magnitude(percentile(76)), 100.0f);
  EXPECT_EQ(four.clipping_magnitude(percentile(75)), 3.0f);
  EXPECT_EQ(four.clipping_magnitude(percentile(50)), 2.0f);
  EXPECT_EQ(four.clipping_magnitude(percentile(0.1)), 1.0f);
}

TEST(Distribution, PercentileHundredIsAmax) {
  for (unsigned seed : {1, 2, 3}) {
    const Distribution one(random_histogram(seed, 30.0f));
    EXPECT_EQ(one.clipping_magnitude(percentile(100)), one.clipping_magnitude({}));
  }
}

TEST(Distribution, NothingAndZerosClipAtZero) {
  for (const Histogram& histogram : {Histogram(32768), histogram_of({0.0f, -0.0f})}) {
    const Distribution empty(histogram);
    for (const ScalePolicy& policy : {ScalePolicy{}, percentile(99), kMse}) {
      EXPECT_EQ(empty.clipping_magnitude(policy), 0.0f);
    }
    EXPECT_EQ(empty.squared_error(1.0f), 0.0);
  }
}

TEST(Distribution, ErrorIsThatOfEachElement) {
  EXPECT_EQ(Distribution(histogram_of({1.0f, 448.0f})).squared_error(1.0f), 0.0);
  EXPECT_EQ(Distribution(histogram_of({450.0f, 450.0f})).squared_error(1.0f), 8.0);  // saturates
  for (unsigned seed : {1, 2, 3}) {
    const Histogram histogram = random_histogram(seed, 100.0f);
    const Distribution one(histogram);
    for (float magnitude : {300.0f, 10.0f, 3.0f, 0.5f, 1e-3f}) {
      const double expected = brute_force_error(histogram, magnitude / 448.0f);
      EXPECT_NEAR(one.squared_error(magnitude / 448.0f), expected, 1e-9 * expected);
    }
  }
}

TEST(Distribution, MseIsTheBestOfAllMagnitudes) {
  for (float outlier : {1.0f, 8.0f, 1000.0f}) {
    const Histogram histogram = random_histogram(7, outlier);
    const Distribution one(histogram);
    double least = std::numeric_limits<double>::infinity();
    const bf16_bits amax = float_to_bf16(one.clipping_magnitude({}));
    for (bf16_bits bits = amax; bits > amax - 12 * 128; --bits) {
      least = std::min(least, brute_force_error(histogram, bf16_to_float(bits) / 448.0f));
    }
    const float chosen = one.clipping_magnitude(kMse);
    const double error = brute_force_error(histogram, chosen / 448.0f);
    EXPECT_NEAR(error, least, 1e-9 * least) << "outliers of " << outlier;
    EXPECT_LE(error, brute_force_error(histogram, one.clipping_magnitude({}) / 448.0f));
  }
}

TEST(Distribution, MseClipsWhatIsTooRareToMatter) {
  // Between 16 and 18 E4M3 has nothing: at scale 1 each 17 is off by 1. At scale 17 / 18 none is,
  // and 448 saturates at 423, which costs 620 or so.
  std::vector<float> values(1000, 17.0f);
  values.push_back(448.0f);
  const Distribution one(histogram_of(values));
  EXPECT_EQ(one.squared_error(1.0f), 1000.0);
  const float chosen = one.clipping_magnitude(kMse);
  EXPECT_LT(chosen, 448.0f);
  EXPECT_LT(one.squared_error(chosen / 448.0f), 650.0);
}

TEST(ScalePolicy, IsParsedOrRefused) {
  EXPECT_EQ(parse_scale_policy("amax").kind, Kind::amax);
  EXPECT_EQ(parse_scale_policy("mse").kind, Kind::mse);
  EXPECT_EQ(parse_scale_policy("percentile:99.99").kind, Kind::percentile);
  EXPECT_EQ(parse_scale_policy("percentile:99.99").percent, 99.99);
  for (const char* bad :
       {"", "guess", "percentile", "percentile:", "percentile:0", "percentile:101",
        "percentile:nan", "percentile:-1", "percentile:9x", "mse "}) {
    EXPECT_THAT(error_text([&] { parse_scale_policy(bad); }),
                testing::HasSubstr("expected amax, mse, or percentile:P"))
        << bad;
  }
}

}  // namespace
}  // namespace fp8cal
