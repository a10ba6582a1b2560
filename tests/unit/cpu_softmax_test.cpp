#include <gtest/gtest.h>

#include <cmath>

#include "cpu_test_support.hpp"

namespace fp8cal {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// The negative log-likelihoods of logits, computed in `slices` of the vocabulary.
std::vector<float> nll_in_slices(Backend& backend, const TestMatrix& logits, std::size_t slices,
                                 const std::vector<std::uint32_t>& targets) {
  const std::size_t tokens = logits.view().rows, vocabulary = logits.view().cols;
  std::vector<float> partials(slices * tokens * 3, NAN), nll(tokens, NAN);
  for (std::size_t s = 0; s < slices; ++s) {
    const std::size_t first = vocabulary * s / slices, last = vocabulary * (s + 1) / slices;
    backend.softmax_partials(logits.view().column_range(first, last - first),
                             static_cast<std::uint32_t>(first), targets.data(),
                             partials.data() + s * tokens * 3);
  }
  backend.combine_partials(partials.data(), slices, targets.data(), tokens, nll.data());
  return nll;
}

TEST(CpuSoftmax, AgreesWithDouble) {
  for (const std::size_t vocabulary : {1, 7, 16, 1000, 4099}) {
    const std::size_t tokens = 37;
    const TestMatrix logits = random_bf16(tokens, vocabulary, 1, 3, 5.0f);
    std::vector<std::uint32_t> targets(tokens);
    for (std::size_t t = 0; t < tokens; ++t) targets[t] = (t * 7919) % vocabulary;
    targets[5] = kNoTarget;
    for (const std::size_t slices : {1, 3, 8}) {
      const auto nll = nll_in_slices(*make_cpu_backend(2), logits, slices, targets);
      for (std::size_t t = 0; t < tokens; ++t) {
        double sum = 0;
        for (std::size_t c = 0; c < vocabulary; ++c) {
          sum += std::exp(static_cast<double>(logits.value(t, c)));
        }
        const double exact =
            targets[t] == kNoTarget ? 0.0 : std::log(sum) - logits.value(t, targets[t]);
        ASSERT_TRUE(std::fabs(nll[t] - exact) <= 2e-6 * (1 + std::fabs(exact)))
            << vocabulary << " in " << slices << ": " << nll[t] << " " << exact;
      }
      for (const auto& [name, backend] : all_cpu_backends()) {
        EXPECT_EQ(nll_in_slices(*backend, logits, slices, targets), nll) << name;
      }
    }
  }
}

TEST(CpuSoftmax, PartialsHandChecked) {
  const TestMatrix logits = bf16_matrix({{2, 2, 2}, {0, -kInfinity, 0}, {-3, -3, 1000}});
  const std::uint32_t targets[] = {11, 13, kNoTarget};
  float partials[9];
  make_cpu_backend(1)->softmax_partials(logits, 10, targets, partials);
  const float expected[] = {2, 3, 2, 0, 2, -kInfinity, 1000, 1, -kInfinity};
  for (int i = 0; i < 9; ++i) EXPECT_EQ(partials[i], expected[i]) << i;
}

TEST(CpuSoftmax, CombinesSlicesOfVeryDifferentSize) {
  // A slice far below the other and an empty one add nothing.
  const float partials[] = {100, 1, 100, -100, 5, -kInfinity, -kInfinity, 0, -kInfinity};
  const std::uint32_t target = 0;
  float nll = NAN;
  make_cpu_backend(1)->combine_partials(partials, 3, &target, 1, &nll);
  EXPECT_EQ(nll, 0.0f);
}

TEST(CpuSoftmax, NanLogitsGiveNan) {
  TestMatrix logits = random_bf16(1, 20, 1);
  logits.bits(0, 17) = 0x7FC0;
  EXPECT_TRUE(std::isnan(nll_in_slices(*make_cpu_backend(1), logits, 2, {3})[0]));
}

TEST(CpuSoftmax, NoTokens) {
  make_cpu_backend(1)->softmax_partials(TestMatrix(DType::bf16, 0, 5), 0, nullptr, nullptr);
  make_cpu_backend(1)->combine_partials(nullptr, 2, nullptr, 0, nullptr);
}

}  // namespace
}  // namespace fp8cal
