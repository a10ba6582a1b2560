#include "coordinator/scales/entropy_policy.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>

#include "kernels/float_formats.hpp"

namespace fp8cal {
namespace {

using Histogram = std::vector<std::uint64_t>;

constexpr Fp8Format kFormats[] = {Fp8Format::e4m3, Fp8Format::e5m2};

float magnitude_of(std::size_t bin) { return bf16_to_float(static_cast<bf16_bits>(bin)); }

float chosen(const Histogram& histogram, Fp8Format format) {
  return least_divergence(sums_below(histogram), format);
}

/// P, Q and sum P log(P / Q) written out, for the candidate `last`.
double brute_force_divergence(const Histogram& histogram, std::size_t last, Fp8Format format) {
  const float scale = magnitude_of(last) / largest_of(format);
  std::array<std::pair<double, double>, 128> codes{};  // elements and magnitudes of each
  double all = 0;
  double kept = 0;
  const auto code_of = [&](std::size_t bin) {
    return float_to_fp8(format, std::min(magnitude_of(bin) / scale, largest_of(format)));
  };
  for (std::size_t bin = 1; bin < histogram.size(); ++bin) {
    const double count = static_cast<double>(histogram[bin]);
    all += count;
    if (bin > last || count == 0) continue;
    kept += count;
    auto& [elements, magnitudes] = codes[code_of(bin)];
    elements += count;
    magnitudes += 1;
  }
  double divergence = 0;
  for (std::size_t bin = 1; bin <= last; ++bin) {
    if (histogram[bin] == 0) continue;
    const double clipped = bin == last ? all - kept : 0;
    const double p = (static_cast<double>(histogram[bin]) + clipped) / all;
    const auto [elements, magnitudes] = codes[code_of(bin)];
    const double q = elements / magnitudes / kept;
    divergence += p * std::log(p / q);
  }
  return divergence;
}

/// Of all candidates.
double least_by_brute_force(const Histogram& histogram, Fp8Format format) {
  const std::size_t fewest = format == Fp8Format::e4m3 ? 126 : 123;
  double least = std::numeric_limits<double>::infinity();
  std::size_t magnitudes = 0;
  for (std::size_t bin = 1; bin < 0x7F80; ++bin) {
    if (histogram[bin] == 0) continue;
    if (++magnitudes < fewest) continue;
    least = std::min(least, brute_force_divergence(histogram, bin, format));
  }
  return least;
}

/// Normally distributed with zeros among them, some planted far out.
Histogram random_histogram(unsigned seed, int elements, float outlier) {
  std::mt19937 draw(seed);
  std::normal_distribution<float> normal(0.0f, 1.0f);
  Histogram histogram(32768);
  histogram[0] = 1000;
  for (int i = 0; i < elements; ++i) {
    ++histogram[float_to_bf16(std::fabs(normal(draw) * (i < 20 ? outlier : 1.0f)))];
  }
  return histogram;
}

/// Of `count` in each of the 128 magnitudes from 2^exponent up.
void fill_octave(Histogram& histogram, int exponent, std::uint64_t count) {
  const std::size_t first = float_to_bf16(std::ldexp(1.0f, exponent));
  std::fill_n(histogram.begin() + static_cast<std::ptrdiff_t>(first), 128, count);
}

TEST(EntropyPolicy, IsTheBestOfAllCandidates) {
  for (Fp8Format format : kFormats) {
    for (int elements : {2000, 200000}) {
      for (float outlier : {1.0f, 100.0f, 1e6f, 1e9f}) {
        const Histogram histogram = random_histogram(5, elements, outlier);
        const float magnitude = chosen(histogram, format);
        EXPECT_NEAR(brute_force_divergence(histogram, float_to_bf16(magnitude), format),
                    least_by_brute_force(histogram, format), 1e-11)
            << elements << " elements, outliers of " << outlier << ": " << magnitude;
      }
    }
  }
}

TEST(EntropyPolicy, KeepsAllWhereNoCodeIsUneven) {
  // Equally many of every magnitude: each code's mean is what it holds, whatever the scale.
  Histogram even(32768);
  fill_octave(even, 0, 7);
  fill_octave(even, 1, 7);
  for (Fp8Format format : kFormats) EXPECT_EQ(chosen(even, format), magnitude_of(0x407F));
}

TEST(EntropyPolicy, ClipsALoneSpikeThatFlushesAllElse) {
  // With the spike kept, both octaves become zero: their shares 1/4 and 3/4 are taken for 1/2 each,
  // a divergence of 0.13. Clipped at the last magnitude below it, they are told apart.
  Histogram histogram(32768);
  fill_octave(histogram, 0, 1000);
  fill_octave(histogram, 1, 3000);
  const std::size_t spike = float_to_bf16(0x1p60f);
  histogram[spike] = 1;
  for (Fp8Format format : kFormats) {
    EXPECT_NEAR(brute_force_divergence(histogram, spike, format),
                0.25 * std::log(0.5) + 0.75 * std::log(1.5), 1e-4);
    EXPECT_EQ(chosen(histogram, format), magnitude_of(0x407F));
  }
}

TEST(EntropyPolicy, KeepsAFewMagnitudesWhole) {
  // 60 % of 1, 20 % of 1.0078, 20 % of 4: clipped to 1 alone there would be no divergence left.
  Histogram few(32768);
  few[0x3F80] = 60;
  few[0x3F81] = 20;
  few[0x4080] = 20;
  for (Fp8Format format : kFormats) {
    EXPECT_GT(brute_force_divergence(few, 0x4080, format), 0.01);
    EXPECT_EQ(brute_force_divergence(few, 0x3F80, format), 0.0);
    EXPECT_EQ(chosen(few, format), 4.0f);
  }
}

TEST(EntropyPolicy, DoesNotDependOnZeros) {
  Histogram histogram = random_histogram(9, 20000, 1e6f);
  for (Fp8Format format : kFormats) {
    histogram[0] = 0;
    const float without = chosen(histogram, format);
    histogram[0] = 1000000000;
    EXPECT_EQ(chosen(histogram, format), without);
  }
}

}  // namespace
}  // namespace fp8cal
