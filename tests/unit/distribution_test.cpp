#include "coordinator/scales/distribution.hpp"

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
constexpr ScalePolicy kKl = {.kind = Kind::kl};

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

constexpr Fp8Format kFormats[] = {Fp8Format::e4m3, Fp8Format::e5m2};

float scale_at(float magnitude, Fp8Format format) {
  return scale_of(magnitude, largest_of(format));
}

/// What `visit` returns for each occurring magnitude and its quotient by scale, times its count, in
/// sum.
template <class Visit>
double sum_over(const Histogram& histogram, float scale, Visit&& visit) {
  double sum = 0;
  for (std::size_t b = 0; b < histogram.size(); ++b) {
    if (histogram[b] == 0) continue;
    const float x = bf16_to_float(static_cast<bf16_bits>(b));
    sum += static_cast<double>(histogram[b]) * visit(x, x / scale);
  }
  return sum;
}

/// As the definition says, element by element.
double brute_force_error(const Histogram& histogram, float scale, Fp8Format format,
                         float up_to = INFINITY) {
  return sum_over(histogram, scale, [&](float x, float quotient) {
    const float clamped = std::min(quotient, largest_of(format));
    const double value = fp8_to_float(format, float_to_fp8(format, clamped));
    const double off = x - value * static_cast<double>(scale);
    return x <= up_to ? off * off : 0.0;
  });
}

TEST(Distribution, PercentilesAreCountedByHand) {
  const Distribution four(histogram_of({1.0f, -2.0f, 3.0f, 100.0f}));
  const auto chosen = [&](const ScalePolicy& policy) {
    return four.clipping_magnitude(policy, Fp8Format::e4m3);
  };
  EXPECT_EQ(chosen({}), 100.0f);
  EXPECT_EQ(chosen(percentile(100)), 100.0f);
  EXPECT_EQ(chosen(percentile(76)), 100.0f);
  EXPECT_EQ(chosen(percentile(75)), 3.0f);
  EXPECT_EQ(chosen(percentile(50)), 2.0f);
  EXPECT_EQ(chosen(percentile(0.1)), 1.0f);
}

TEST(Distribution, PercentileHundredIsAmax) {
  for (unsigned seed : {1, 2, 3}) {
    const Distribution one(random_histogram(seed, 30.0f));
    for (Fp8Format format : kFormats) {
      EXPECT_EQ(one.clipping_magnitude(percentile(100), format),
                one.clipping_magnitude({}, format));
    }
  }
}

TEST(Distribution, NothingAndZerosClipAtZero) {
  for (const Histogram& histogram : {Histogram(32768), histogram_of({0.0f, -0.0f})}) {
    const Distribution empty(histogram);
    for (Fp8Format format : kFormats) {
      for (const ScalePolicy& policy : {ScalePolicy{}, percentile(99), kMse, kKl}) {
        EXPECT_EQ(empty.clipping_magnitude(policy, format), 0.0f);
      }
      EXPECT_EQ(empty.squared_error(1.0f, format), 0.0);
      EXPECT_EQ(empty.clipped(1.0f, format), 0u);
      EXPECT_EQ(empty.flushed(1.0f, format), 0u);
    }
    EXPECT_EQ(empty.energy(), 0.0);
  }
}

TEST(Distribution, CountsAndEnergyAreThoseOfEachElement) {
  // E4M3 at scale 1: 448 is its largest, 2^-9 its smallest and 2^-10 half of that, which rounds to
  // even: to zero.
  const Distribution five(histogram_of({0.0f, 0x1p-10f, -0x1p-9f, 448.0f, -450.0f}));
  EXPECT_EQ(five.elements(), 5u);
  EXPECT_EQ(five.elements_above(0x1p-9f), 2u);
  EXPECT_EQ(five.elements_above(450.0f), 0u);
  EXPECT_EQ(five.clipped(1.0f, Fp8Format::e4m3), 1u);
  EXPECT_EQ(five.flushed(1.0f, Fp8Format::e4m3), 1u);
  EXPECT_EQ(five.clipped(1.0f, Fp8Format::e5m2), 0u);
  EXPECT_EQ(five.flushed(1.0f, Fp8Format::e5m2), 0u);
  EXPECT_EQ(five.energy(), 0x1p-20 + 0x1p-18 + 448.0 * 448 + 450.0 * 450);

  const Histogram histogram = random_histogram(4, 100.0f);
  const Distribution one(histogram);
  for (Fp8Format format : kFormats) {
    for (float magnitude : {300.0f, 10.0f, 0.5f, 1e-3f, 1e5f, 1e8f}) {
      const float scale = scale_at(magnitude, format);
      EXPECT_EQ(one.clipped(scale, format), sum_over(histogram, scale, [&](float, float quotient) {
                  return quotient > largest_of(format);
                }));
      EXPECT_EQ(one.flushed(scale, format), sum_over(histogram, scale, [&](float x, float q) {
                  return x > 0 && float_to_fp8(format, q) == 0;
                }));
    }
  }
  const double energy = sum_over(histogram, 1.0f, [](float x, float) {
    return static_cast<double>(x) * static_cast<double>(x);
  });
  EXPECT_DOUBLE_EQ(one.energy(), energy);
}

TEST(Distribution, TheScaleOfAmaxClipsNothing) {
  int rounded_up = 0;
  for (Fp8Format format : kFormats) {
    for (bf16_bits bits = 0x3F80; bits < 0x4000; ++bits) {
      const float amax = bf16_to_float(bits);
      const float below = bf16_to_float(static_cast<bf16_bits>(bits - 1));
      const Distribution two(histogram_of({below, amax}));
      EXPECT_EQ(two.clipped(scale_at(amax, format), format), 0u) << amax;
      EXPECT_EQ(two.clipped(scale_at(below, format), format), 1u) << amax;
      rounded_up += amax / scale_at(amax, format) > largest_of(format);
    }
  }
  EXPECT_GT(rounded_up, 0) << "the case that this test is for";
}

TEST(Distribution, ErrorIsThatOfEachElement) {
  const auto error = [](const std::vector<float>& values, Fp8Format format) {
    return Distribution(histogram_of(values)).squared_error(1.0f, format);
  };
  EXPECT_EQ(error({1.0f, 448.0f}, Fp8Format::e4m3), 0.0);
  EXPECT_EQ(error({450.0f, 450.0f}, Fp8Format::e4m3), 8.0);  // saturates
  EXPECT_EQ(error({450.0f, 57344.0f}, Fp8Format::e5m2), 4.0);
  EXPECT_EQ(error({57600.0f}, Fp8Format::e5m2), 256.0 * 256.0);
  for (unsigned seed : {1, 2, 3}) {
    const Histogram histogram = random_histogram(seed, 100.0f);
    const Distribution one(histogram);
    for (Fp8Format format : kFormats) {
      for (float magnitude : {300.0f, 10.0f, 3.0f, 0.5f, 1e-3f, 1e6f}) {
        const float scale = scale_at(magnitude, format);
        EXPECT_DOUBLE_EQ(one.squared_error(scale, format),
                         brute_force_error(histogram, scale, format));
        for (float up_to : {0.0f, 0.25f, 2.0f, 1000.0f}) {
          EXPECT_DOUBLE_EQ(one.squared_error_up_to(up_to, scale, format),
                           brute_force_error(histogram, scale, format, up_to));
        }
      }
    }
  }
}

TEST(Distribution, MseIsTheBestOfAllMagnitudes) {
  for (Fp8Format format : kFormats) {
    for (float outlier : {1.0f, 8.0f, 1000.0f}) {
      const Histogram histogram = random_histogram(7, outlier);
      const Distribution one(histogram);
      double least = std::numeric_limits<double>::infinity();
      const float amax = one.clipping_magnitude({}, format);
      for (bf16_bits bits = float_to_bf16(amax); bits > float_to_bf16(amax) - 12 * 128; --bits) {
        const float scale = scale_at(bf16_to_float(bits), format);
        least = std::min(least, brute_force_error(histogram, scale, format));
      }
      const float chosen = one.clipping_magnitude(kMse, format);
      const double error = one.squared_error(scale_at(chosen, format), format);
      EXPECT_NEAR(error, least, 1e-9 * least) << "outliers of " << outlier;
      EXPECT_LE(error, one.squared_error(scale_at(amax, format), format));
    }
  }
}

TEST(Distribution, MseKeepsAmaxWhereItIsExact) {
  const Distribution powers(histogram_of({0.5f, 3.5f, 0x1.cp-3f, 1.0f}));
  EXPECT_EQ(powers.clipping_magnitude(kMse, Fp8Format::e4m3), 3.5f);
  EXPECT_EQ(powers.squared_error(3.5f / 448.0f, Fp8Format::e4m3), 0.0);
}

TEST(Distribution, MseClipsWhatIsTooRareToMatter) {
  // Between 16 and 18 E4M3 has nothing: at scale 1 each 17 is off by 1. At scale 17 / 18 none is,
  // and 448 saturates at 423, which costs 620 or so.
  std::vector<float> values(1000, 17.0f);
  values.push_back(448.0f);
  const Distribution one(histogram_of(values));
  EXPECT_EQ(one.squared_error(1.0f, Fp8Format::e4m3), 1000.0);
  const float chosen = one.clipping_magnitude(kMse, Fp8Format::e4m3);
  EXPECT_LT(chosen, 448.0f);
  EXPECT_LT(one.squared_error(chosen / 448.0f, Fp8Format::e4m3), 650.0);
}

TEST(ScalePolicy, IsParsedOrRefused) {
  EXPECT_EQ(parse_scale_policy("amax").kind, Kind::amax);
  EXPECT_EQ(parse_scale_policy("mse").kind, Kind::mse);
  EXPECT_EQ(parse_scale_policy("kl").kind, Kind::kl);
  EXPECT_EQ(parse_scale_policy("percentile:99.99").kind, Kind::percentile);
  EXPECT_EQ(parse_scale_policy("percentile:99.99").percent, 99.99);
  for (const char* bad :
       {"", "guess", "percentile", "percentile:", "percentile:0", "percentile:101",
        "percentile:nan", "percentile:-1", "percentile:9x", "mse ", "KL"}) {
    EXPECT_THAT(error_text([&] { parse_scale_policy(bad); }),
                testing::HasSubstr("expected amax, mse, kl, or percentile:P"))
        << bad;
  }
}

}  // namespace
}  // namespace fp8cal
