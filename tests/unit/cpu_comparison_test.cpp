#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>

#include "cpu_test_support.hpp"

namespace fp8cal {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr bf16_bits kMinusInfinityBits = 0xFF80, kNanBits = 0x7FC0;

struct Compared {
  std::vector<float> kl;
  std::vector<std::uint8_t> same_top;

  bool operator==(const Compared&) const = default;
};

/// q compared with p in `slices` of the vocabulary, whose ids start at 7.
Compared compare(Backend& backend, const TestMatrix& p, const TestMatrix& q, std::size_t slices) {
  const std::size_t tokens = p.view().rows, vocabulary = p.view().cols;
  std::vector<ComparisonPartial> partials(slices * tokens);
  Compared out{std::vector<float>(tokens, NAN), std::vector<std::uint8_t>(tokens, kPoison)};
  for (std::size_t s = 0; s < slices; ++s) {
    const std::size_t first = vocabulary * s / slices, last = vocabulary * (s + 1) / slices;
    backend.comparison_partials(
        p.view().column_range(first, last - first), q.view().column_range(first, last - first),
        static_cast<std::uint32_t>(7 + first), partials.data() + s * tokens);
  }
  backend.combine_comparison(partials.data(), slices, tokens, out.kl.data(), out.same_top.data());
  return out;
}

Compared compare_rows(const std::vector<std::vector<float>>& p,
                      const std::vector<std::vector<float>>& q, std::size_t slices = 1) {
  return compare(*make_cpu_backend(1), bf16_matrix(p), bf16_matrix(q), slices);
}

/// p with normally distributed differences.
TestMatrix perturbed(const TestMatrix& p, unsigned seed, float deviation) {
  const std::size_t rows = p.view().rows, cols = p.view().cols;
  const TestMatrix noise = random_bf16(rows, cols, seed, 0, deviation);
  TestMatrix q(DType::bf16, rows, cols, 2);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < cols; ++c) {
      q.bits(r, c) = float_to_bf16(p.value(r, c) + noise.value(r, c));
    }
  }
  return q;
}

double log_sum(const TestMatrix& logits, std::size_t t) {
  double sum = 0;
  for (std::size_t c = 0; c < logits.view().cols; ++c) {
    sum += std::exp(static_cast<double>(logits.value(t, c)));
  }
  return std::log(sum);
}

double exact_divergence(const TestMatrix& p, const TestMatrix& q, std::size_t t) {
  const double p_log = log_sum(p, t), q_log = log_sum(q, t);
  double kl = 0;
  for (std::size_t c = 0; c < p.view().cols; ++c) {
    const double p_logit = p.value(t, c) - p_log, q_logit = q.value(t, c) - q_log;
    kl += std::exp(p_logit) * (p_logit - q_logit);
  }
  return kl;
}

TEST(CpuComparison, HandChecked) {
  // p = (1/2, 1/2), q = (1, e) / (1 + e): log((1 + e) / 2) - 1/2.
  const Compared out = compare_rows({{0, 0}, {0, 1}}, {{0, 1}, {0, 0}});
  EXPECT_NEAR(out.kl[0], 0.12011451, 1e-7);
  // And the other way round: e / (1 + e) - log((1 + e) / 2).
  EXPECT_NEAR(out.kl[1], 0.11094407, 1e-7);
  EXPECT_EQ(out.same_top[0], 0);
  EXPECT_EQ(out.same_top[1], 0);
}

TEST(CpuComparison, PartialsHandChecked) {
  const TestMatrix p = bf16_matrix({{2, 2, 2}, {-kInfinity, 5, -300}});
  const TestMatrix q = bf16_matrix({{-200, 0, 0}, {1, 1, 1}});
  ComparisonPartial partials[2];
  make_cpu_backend(1)->comparison_partials(p, q, 10, partials);
  EXPECT_EQ(partials[0].p_maximum, 2.0f);
  EXPECT_EQ(partials[0].p_sum, 3.0f);
  EXPECT_EQ(partials[0].weighted, 206.0f);
  EXPECT_EQ(partials[0].q_maximum, 0.0f);
  EXPECT_EQ(partials[0].q_sum, 2.0f);
  EXPECT_EQ(partials[0].p_top, 10u);
  EXPECT_EQ(partials[0].q_top, 11u);
  EXPECT_EQ(partials[1].p_sum, 1.0f);
  EXPECT_EQ(partials[1].weighted, 4.0f);
  EXPECT_EQ(partials[1].q_sum, 3.0f);
  EXPECT_EQ(partials[1].p_top, 11u);
  EXPECT_EQ(partials[1].q_top, 10u);
}

TEST(CpuComparison, AgreesWithDouble) {
  double worst = 0, worst_of_slices = 0;
  for (const std::size_t vocabulary : {1, 7, 1000, 4099, 128256}) {
    const std::size_t tokens = vocabulary > 100000 ? 3 : 37;
    for (const float deviation : {0.02f, 0.3f, 3.0f}) {
      const TestMatrix p = random_bf16(tokens, vocabulary, 1, 3, 4.0f);
      const TestMatrix q = perturbed(p, 2, deviation);
      const auto backend = make_cpu_backend(2);
      const Compared whole = compare(*backend, p, q, 1);
      for (std::size_t t = 0; t < tokens; ++t) {
        const double exact = exact_divergence(p, q, t);
        const double error = std::fabs(whole.kl[t] - exact);
        ASSERT_TRUE(error <= 2e-6 * (1 + exact))
            << vocabulary << ": " << whole.kl[t] << " " << exact;
        worst = std::max(worst, error / (1 + exact));
      }
      for (const std::size_t slices : {4, 8}) {
        const Compared sliced = compare(*backend, p, q, slices);
        EXPECT_EQ(sliced.same_top, whole.same_top);
        for (std::size_t t = 0; t < tokens; ++t) {
          const double difference = std::fabs(double{sliced.kl[t]} - whole.kl[t]);
          ASSERT_TRUE(difference <= 1e-6 * (1 + whole.kl[t])) << vocabulary << " in " << slices;
          worst_of_slices = std::max(worst_of_slices, difference / (1 + whole.kl[t]));
        }
      }
    }
  }
  std::printf("  worst error / (1 + kl) %.1e, of slices against the whole %.1e\n", worst,
              worst_of_slices);
}

TEST(CpuComparison, DependsOnNeitherThreadsNorInstructionSet) {
  for (const std::size_t vocabulary : {15, 1024, 4099}) {
    const TestMatrix p = random_bf16(300, vocabulary, 3, 1, 4.0f);
    const TestMatrix q = perturbed(p, 4, 0.5f);
    const Compared expected = compare(*make_cpu_backend(1), p, q, 3);
    for (const auto& [name, backend] : all_cpu_backends()) {
      EXPECT_EQ(compare(*backend, p, q, 3), expected) << name << ", " << vocabulary;
    }
  }
}

TEST(CpuComparison, EqualLogitsGiveExactlyZero) {
  for (const std::size_t vocabulary : {1, 9, 2000, 5003}) {
    TestMatrix p = random_bf16(20, vocabulary, 5, 0, 6.0f);
    for (std::size_t t = 0; t < 20 && vocabulary > 1; ++t) {
      p.bits(t, t % vocabulary) = kMinusInfinityBits;
    }
    for (const std::size_t slices : {1, 4}) {
      const Compared out = compare(*make_cpu_backend(1), p, p, slices);
      EXPECT_EQ(out.kl, std::vector<float>(20, 0.0f));
      EXPECT_EQ(out.same_top, std::vector<std::uint8_t>(20, 1));
    }
  }
}

TEST(CpuComparison, AShiftOfAllLogitsChangesNothing) {
  const Compared out = compare_rows({{1, 2, 3, 4}}, {{9, 10, 11, 12}}, 2);
  EXPECT_EQ(out.kl[0], 0.0f);
  EXPECT_EQ(out.same_top[0], 1);
}

TEST(CpuComparison, NeverNegative) {
  const TestMatrix p = random_bf16(400, 1000, 6, 0, 3.0f);
  TestMatrix q = p;
  for (std::size_t t = 0; t < 400; ++t) q.bits(t, t) ^= 1;  // the last bit of one logit
  const Compared out = compare(*make_cpu_backend(2), p, q, 1);
  for (const float kl : out.kl) EXPECT_TRUE(kl >= 0.0f && kl < 1e-3f) << kl;
}

TEST(CpuComparison, OfEqualLogitsTheFirstIsTheTop) {
  // p's tops stand in two slices of two; -0 equals 0.
  const std::vector<std::vector<float>> p = {{1, 5, 0, 5}, {1, 0, 5, 5}, {-0.0f, 0, -1, 0}};
  EXPECT_EQ(compare_rows(p, {{0, 9, 9, 9}, {0, 0, 9, 0}, {4, 4, 4, 4}}, 2).same_top,
            (std::vector<std::uint8_t>{1, 1, 1}));
  EXPECT_EQ(compare_rows(p, {{0, 8, 9, 9}, {0, 0, 8, 9}, {3, 4, 4, 4}}, 2).same_top,
            (std::vector<std::uint8_t>{0, 0, 0}));
}

TEST(CpuComparison, FindsThePlantedTop) {
  constexpr std::size_t kVocabulary = 5000;
  TestMatrix logits = random_bf16(60, kVocabulary, 7);
  std::vector<std::uint32_t> expected;
  for (std::size_t t = 0; t < 60; ++t) {
    const std::size_t first = t * 1237 % kVocabulary;
    for (std::size_t c = first; c < kVocabulary; c += 700) logits.bits(t, c) = 0x4180;  // 16
    expected.push_back(static_cast<std::uint32_t>(100 + first));
  }
  std::vector<ComparisonPartial> partials(60);
  make_cpu_backend(1)->comparison_partials(logits, random_bf16(60, kVocabulary, 8), 100,
                                           partials.data());
  for (std::size_t t = 0; t < 60; ++t) EXPECT_EQ(partials[t].p_top, expected[t]) << t;
}

TEST(CpuComparison, IdsThatBothExcludeAddNothing) {
  const float none = -kInfinity;
  // With two slices, the second holds no id at all.
  for (const std::size_t slices : {1, 2, 4}) {
    const Compared out = compare_rows({{0, 0, none, none}, {0, none, none, 1}},
                                      {{0, 1, none, none}, {0, 0, 0, 1}}, slices);
    EXPECT_NEAR(out.kl[0], 0.12011451, 1e-7);
    // p = (1, e) / (1 + e), q = (1, 1, 1, e) / (3 + e): log((3 + e) / (1 + e)).
    EXPECT_NEAR(out.kl[1], 0.43040669, 2e-7);
    EXPECT_EQ(out.same_top[0], 0);
    EXPECT_EQ(out.same_top[1], 1);
  }
}

TEST(CpuComparison, AnIdThatOnlyQExcludesIsInfinitelyFar) {
  EXPECT_EQ(compare_rows({{0, 0, 0}}, {{0, -kInfinity, 0}}).kl[0], kInfinity);
}

TEST(CpuComparison, WherePIsZeroNothingCounts) {
  // exp(-300) is zero in f32, in one slice as in two.
  for (const std::size_t slices : {1, 2}) {
    EXPECT_EQ(compare_rows({{0, -300}}, {{0, -kInfinity}}, slices).kl[0], 0.0f) << slices;
  }
}

TEST(CpuComparison, NanLogitsGiveNan) {
  for (const std::size_t at : {0, 17, 19}) {
    for (const bool in_p : {true, false}) {
      TestMatrix p = random_bf16(1, 20, 1), q = random_bf16(1, 20, 2);
      p.bits(0, at) = kMinusInfinityBits;
      (in_p ? p : q).bits(0, at) = kNanBits;
      for (const std::size_t slices : {1, 2, 20}) {
        EXPECT_TRUE(std::isnan(compare(*make_cpu_backend(1), p, q, slices).kl[0])) << at;
      }
    }
  }
}

TEST(CpuComparison, RefusesWhatDoesNotFit) {
  EXPECT_EQ(shape_error([] {
              make_cpu_backend(1)->comparison_partials(random_bf16(2, 5, 1), random_bf16(2, 6, 1),
                                                       0, nullptr);
            }),
            "comparison_partials: q: expected [2, 5] bf16, found [2, 6] bf16");
}

TEST(CpuComparison, NoTokens) {
  const TestMatrix none(DType::bf16, 0, 5);
  make_cpu_backend(1)->comparison_partials(none, none, 0, nullptr);
  make_cpu_backend(1)->combine_comparison(nullptr, 2, 0, nullptr, nullptr);
}

}  // namespace
}  // namespace fp8cal
