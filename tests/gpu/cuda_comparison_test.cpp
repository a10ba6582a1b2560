#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>

#include "gpu_test.hpp"

namespace fp8cal {
namespace {

constexpr bf16_bits kMinusInfinity = 0xFF80, kNan = 0x7FC0;

struct Compared {
  std::vector<float> kl;
  std::vector<std::uint8_t> same_top;
};

/// p with normally distributed differences, rows as far apart as p's are not.
TestMatrix perturbed(const TestMatrix& p, unsigned seed, float deviation, std::size_t gap) {
  const std::size_t rows = p.view().rows, cols = p.view().cols;
  const TestMatrix noise = random_bf16(rows, cols, seed, 0, deviation);
  TestMatrix q(DType::bf16, rows, cols, gap);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < cols; ++c) {
      q.bits(r, c) = float_to_bf16(p.value(r, c) + noise.value(r, c));
    }
  }
  return q;
}

/// found against expected, of which either may be NaN or infinite.
double error_of(float found, float expected) {
  if (found == expected || (std::isnan(found) && std::isnan(expected))) return 0.0;
  const double error = std::abs(double{found} - expected);
  return std::isnan(error) ? INFINITY : error;
}

class CudaComparison : public BothBackends {
 protected:
  static std::vector<ComparisonPartial> partials_of(Backend& backend, const TestMatrix& p,
                                                    const TestMatrix& q, std::size_t slices) {
    const std::size_t tokens = p.view().rows, vocabulary = p.view().cols;
    const DeviceCopy own_p(backend, p), own_q(backend, q);
    const DeviceArray<ComparisonPartial> partials(
        backend, std::vector<ComparisonPartial>(slices * tokens, {-7, -7, -7, -7, -7, 7, 8}));
    for (std::size_t s = 0; s < slices; ++s) {
      const std::size_t first = vocabulary * s / slices, last = vocabulary * (s + 1) / slices;
      backend.comparison_partials(own_p.view().column_range(first, last - first),
                                  own_q.view().column_range(first, last - first),
                                  static_cast<std::uint32_t>(1000 + first),
                                  partials.data() + s * tokens);
    }
    return partials.values();
  }

  static Compared combined(Backend& backend, const std::vector<ComparisonPartial>& partials,
                           std::size_t slices) {
    const std::size_t tokens = partials.size() / slices;
    const DeviceArray<ComparisonPartial> own(backend, partials);
    const DeviceArray<float> kl(backend, std::vector<float>(tokens, -7.0f));
    const DeviceArray<std::uint8_t> same_top(backend, std::vector<std::uint8_t>(tokens, kPoison));
    backend.combine_comparison(own.data(), slices, tokens, kl.data(), same_top.data());
    return {kl.values(), same_top.values()};
  }

  static Compared compare(Backend& backend, const TestMatrix& p, const TestMatrix& q,
                          std::size_t slices) {
    return combined(backend, partials_of(backend, p, q, slices), slices);
  }

  /// Returns the worst absolute error.
  double expect_equal(const Compared& found, const Compared& expected, const std::string& what) {
    EXPECT_EQ(found.same_top, expected.same_top) << what;
    double worst = 0.0;
    for (std::size_t t = 0; t < expected.kl.size(); ++t) {
      const double error = error_of(found.kl[t], expected.kl[t]);
      const double bound = std::isfinite(expected.kl[t]) ? 2e-6 + 1e-4 * expected.kl[t] : 0.0;
      EXPECT_TRUE(error <= bound) << what << ", token " << t << ": expected " << expected.kl[t]
                                  << ", found " << found.kl[t];
      worst = std::max(worst, error);
    }
    return worst;
  }
};

/// Rows with infinities, NaN and ties, where there are enough rows.
void plant(TestMatrix& p, TestMatrix& q) {
  const std::size_t rows = p.view().rows, cols = p.view().cols;
  if (rows < 7 || cols < 2) return;
  for (std::size_t c = 0; c < cols; ++c) {
    if (c % 3 == 0) p.bits(1, c) = q.bits(1, c) = kMinusInfinity;
    if (c + 1 < cols) p.bits(2, c) = q.bits(2, c) = kMinusInfinity;
    p.bits(3, c) = kMinusInfinity;
    q.bits(6, c) = p.bits(6, c);
  }
  p.bits(4, cols / 2) = kNan;
  q.bits(5, cols / 2) = kMinusInfinity;
  for (std::size_t r = 7; r < rows; r += 3) {
    for (std::size_t c = r * 131 % cols; c < cols; c += 7 + r) p.bits(r, c) = 0x4200;  // 32
    for (std::size_t c = r * 131 % cols; c < cols; c += 5 + r) {
      if (r % 2 == 1 || c > r * 131 % cols) q.bits(r, c) = 0x4200;
    }
  }
}

TEST_F(CudaComparison, EqualsTheCpus) {
  for (const TestSize& size : kTestSizes) {
    for (const std::size_t gap : {size.gap, std::size_t{1}}) {
      TestMatrix p = random_bf16(size.rows, size.cols, 5, size.gap, 4.0f);
      TestMatrix q = perturbed(p, 6, 0.5f, gap);
      plant(p, q);
      double worst = 0.0;
      std::size_t same = 0;
      for (const std::size_t slices : {1, 3, 8}) {
        const Compared found = compare(*cuda_, p, q, slices);
        const Compared expected = compare(*cpu_, p, q, slices);
        worst = std::max(worst, expect_equal(found, expected,
                                             size.to_string() + " in " + std::to_string(slices)));
        for (const std::uint8_t one : expected.same_top) same += one;
      }
      std::printf("  %-24s worst absolute error %.2e, same top %zu of %zu\n",
                  size.to_string().c_str(), worst, same, 3 * size.rows);
    }
  }
}

TEST_F(CudaComparison, PartialsEqualTheCpus) {
  TestMatrix p = random_bf16(300, 16032, 7, 0, 4.0f);
  TestMatrix q = perturbed(p, 8, 0.3f, 0);
  plant(p, q);
  const auto found = partials_of(*cuda_, p, q, 2), expected = partials_of(*cpu_, p, q, 2);
  double worst = 0.0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].p_maximum, expected[i].p_maximum) << i;
    EXPECT_EQ(found[i].q_maximum, expected[i].q_maximum) << i;
    EXPECT_EQ(found[i].p_top, expected[i].p_top) << i;
    EXPECT_EQ(found[i].q_top, expected[i].q_top) << i;
    for (const auto sum : {&ComparisonPartial::p_sum, &ComparisonPartial::q_sum}) {
      worst = std::max(worst, error_of(found[i].*sum, expected[i].*sum) /
                                  std::max(1e-3f, std::abs(expected[i].*sum)));
    }
  }
  std::printf("  sums: worst relative error %.2e\n", worst);
  EXPECT_LE(worst, 1e-5);
}

TEST_F(CudaComparison, EqualLogitsGiveExactlyZero) {
  for (const std::size_t vocabulary : {1, 9, 4096, 16032, 32061}) {
    TestMatrix p = random_bf16(40, vocabulary, 9, 0, 6.0f);
    for (std::size_t t = 0; t < 40 && vocabulary > 1; ++t) {
      p.bits(t, t % vocabulary) = kMinusInfinity;
    }
    for (const std::size_t slices : {1, 4}) {
      const Compared out = compare(*cuda_, p, p, slices);
      EXPECT_EQ(out.kl, std::vector<float>(40, 0.0f)) << vocabulary;
      EXPECT_EQ(out.same_top, std::vector<std::uint8_t>(40, 1)) << vocabulary;
    }
  }
}

TEST_F(CudaComparison, WherePIsZeroNothingCounts) {
  const TestMatrix p = bf16_matrix({{0, -300}, {-300, 0}});
  const TestMatrix q = bf16_matrix({{0, -INFINITY}, {-INFINITY, 0}});
  for (const std::size_t slices : {1, 2}) {
    EXPECT_EQ(compare(*cuda_, p, q, slices).kl, std::vector<float>(2, 0.0f)) << slices;
  }
}

TEST_F(CudaComparison, DependsOnNeitherRepetitionNorRowsNorAlignment) {
  TestMatrix p = random_bf16(200, 16032, 10, 3, 4.0f);
  TestMatrix q = perturbed(p, 11, 0.3f, 0);
  plant(p, q);
  const Compared whole = compare(*cuda_, p, q, 1);
  const auto bits = [](float value) { return std::bit_cast<std::uint32_t>(value); };
  for (int repetition = 0; repetition < 3; ++repetition) {
    const Compared again = compare(*cuda_, p, q, 1);
    EXPECT_EQ(std::memcmp(again.kl.data(), whole.kl.data(), 4 * 200), 0);
    EXPECT_EQ(again.same_top, whole.same_top);
  }
  for (std::size_t t = 0; t < 200; ++t) {
    TestMatrix p_row(DType::bf16, 1, 16032), q_row(DType::bf16, 1, 16032);
    std::memcpy(p_row.view().data, p.view().row<bf16_bits>(t), 2 * 16032);
    std::memcpy(q_row.view().data, q.view().row<bf16_bits>(t), 2 * 16032);
    const Compared alone = compare(*cuda_, p_row, q_row, 1);
    EXPECT_EQ(bits(alone.kl[0]), bits(whole.kl[t])) << t;
    EXPECT_EQ(alone.same_top[0], whole.same_top[t]) << t;
  }
}

TEST_F(CudaComparison, CombinedEqualTheCpus) {
  const TestMatrix p = random_bf16(2048, 800, 12, 0, 5.0f);
  const TestMatrix q = perturbed(p, 13, 1.0f, 0);
  for (const std::size_t slices : {1, 2, 8}) {
    for (const std::size_t tokens : {0, 1, 255, 2048}) {
      auto partials = partials_of(*cpu_, p, q, slices);
      partials.resize(slices * tokens);
      const double worst =
          expect_equal(combined(*cuda_, partials, slices), combined(*cpu_, partials, slices),
                       std::to_string(slices) + " slices");
      std::printf("  %zu slices of %4zu tokens: worst absolute error %.2e\n", slices, tokens,
                  worst);
    }
  }
}

TEST_F(CudaComparison, Speed) {
  constexpr std::size_t kTokens = 8192;
  for (const std::size_t vocabulary : {16032, 32064, 128256}) {
    const std::size_t tokens = vocabulary == 128256 ? 2048 : kTokens;
    const TestMatrix few = random_bf16(256, vocabulary, 14, 0, 3.0f);
    const TestMatrix few_q = perturbed(few, 15, 0.2f, 0);
    const std::size_t bytes = 2 * tokens * vocabulary;
    const Buffer p = cuda_->allocate(bytes), q = cuda_->allocate(bytes);
    for (std::size_t t = 0; t < tokens; t += 256) {
      cuda_->upload(p.as<bf16_bits>() + t * vocabulary, few.view().data, 512 * vocabulary);
      cuda_->upload(q.as<bf16_bits>() + t * vocabulary, few_q.view().data, 512 * vocabulary);
    }
    const Buffer partials = cuda_->allocate(tokens * sizeof(ComparisonPartial));
    const Buffer sums = cuda_->allocate(tokens * 3 * sizeof(float));
    const DeviceArray<std::uint32_t> targets(*cuda_, std::vector<std::uint32_t>(tokens, 3));
    const Matrix p_logits = Matrix::dense(p.data(), DType::bf16, tokens, vocabulary);
    const Matrix q_logits = Matrix::dense(q.data(), DType::bf16, tokens, vocabulary);
    const double seconds = seconds_of(*cuda_, 20, [&] {
      cuda_->comparison_partials(p_logits, q_logits, 0, partials.as<ComparisonPartial>());
    });
    const double softmax = seconds_of(*cuda_, 20, [&] {
      cuda_->softmax_partials(p_logits, 0, targets.data(), sums.as<float>());
    });
    std::printf("  %zu x %6zu: comparison %8.1f us %7.1f GB/s, softmax %8.1f us %7.1f GB/s\n",
                tokens, vocabulary, seconds * 1e6, 2.0 * bytes / seconds / 1e9, softmax * 1e6,
                bytes / softmax / 1e9);
    EXPECT_GT(2.0 * bytes / seconds, 5e10);
  }
}

}  // namespace
}  // namespace fp8cal
