#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>

#include "gpu_test.hpp"

namespace fp8cal {
namespace {

constexpr std::uint32_t kFirstId = 1000;

class CudaSoftmax : public BothBackends {
 protected:
  static std::vector<float> partials_of(Backend& backend, const TestMatrix& logits,
                                        const std::vector<std::uint32_t>& targets) {
    const DeviceCopy own(backend, logits);
    const DeviceArray<std::uint32_t> own_targets(backend, targets);
    const DeviceArray<float> partials(backend, std::vector<float>(3 * targets.size(), -7.0f));
    backend.softmax_partials(own, kFirstId, own_targets.data(), partials.data());
    return partials.values();
  }

  static std::vector<std::uint32_t> targets_of(const TestSize& size) {
    std::vector<std::uint32_t> targets;
    for (std::size_t t = 0; t < size.rows; ++t) {
      targets.push_back(t % 5 == 4
                            ? kNoTarget
                            : static_cast<std::uint32_t>(kFirstId - 2 + t * 977 % (size.cols + 5)));
    }
    return targets;
  }
};

/// |found - expected| relative to `expected`, or infinity where only one of them is NaN.
double error_of(float found, float expected) {
  if (found == expected || (std::isnan(found) && std::isnan(expected))) return 0.0;
  const double error = std::abs(double{found} - expected) / std::abs(double{expected});
  return std::isnan(error) ? INFINITY : error;
}

TEST_F(CudaSoftmax, PartialsEqualTheCpus) {
  for (const TestSize& size : kTestSizes) {
    TestMatrix logits = random_bf16(size.rows, size.cols, 5, size.gap, 4.0f);
    for (std::size_t c = 0; c < size.cols && size.rows > 4; ++c) {
      logits.bits(1, c) = 0xFF80;                         // -infinity alone
      if (c + 1 < size.cols) logits.bits(2, c) = 0xFF80;  // but the last
    }
    if (size.rows > 4 && size.cols > 0) logits.bits(3, size.cols / 2) = 0x7FC0;  // NaN
    const std::vector<std::uint32_t> targets = targets_of(size);
    const std::vector<float> found = partials_of(*cuda_, logits, targets);
    const std::vector<float> expected = partials_of(*cpu_, logits, targets);
    double worst = 0.0;
    for (std::size_t t = 0; t < size.rows; ++t) {
      EXPECT_EQ(found[3 * t], expected[3 * t]) << size.to_string() << ": maximum " << t;
      worst = std::max(worst, error_of(found[3 * t + 1], expected[3 * t + 1]));
      EXPECT_EQ(error_of(found[3 * t + 2], expected[3 * t + 2]), 0.0)
          << size.to_string() << ": target " << t;
    }
    EXPECT_LE(worst, 1e-5) << size.to_string();
    std::printf("  %-24s sum of exp: worst relative error %.2e\n", size.to_string().c_str(), worst);
  }
}

TEST_F(CudaSoftmax, PartialsDependOnNeitherSlicesNorAlignment) {
  constexpr TestSize kSize{23, 32061, 3};
  const TestMatrix logits = random_bf16(kSize.rows, kSize.cols, 6, kSize.gap, 4.0f);
  const std::vector<std::uint32_t> targets = targets_of(kSize);
  const std::vector<float> whole = partials_of(*cuda_, logits, targets);
  for (std::size_t t = 0; t < kSize.rows; ++t) {
    TestMatrix row(DType::bf16, 1, kSize.cols);
    std::memcpy(row.view().data, logits.view().row<bf16_bits>(t), 2 * kSize.cols);
    const std::vector<float> alone = partials_of(*cuda_, row, {targets[t]});
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(alone[i], whole[3 * t + i]) << t << " " << i;
  }
}

TEST_F(CudaSoftmax, CombinedEqualTheCpus) {
  for (const std::size_t slices : {1, 2, 8}) {
    for (const std::size_t tokens : {0, 1, 255, 2048}) {
      std::vector<float> partials;
      for (std::size_t i = 0; i < slices * tokens; ++i) {
        const float maximum = 10.0f + 0.37f * (i * 31 % 101);
        const bool holds_target = i / tokens == i % tokens % slices;
        partials.insert(partials.end(), {maximum, 1.0f + 0.11f * (i * 17 % 997),
                                         holds_target ? maximum - 0.2f * (i % 77) : -INFINITY});
      }
      std::vector<std::uint32_t> targets(tokens, 5);
      if (tokens > 3) targets[3] = kNoTarget;
      std::vector<std::vector<float>> nll;
      for (Backend* backend : {cuda_.get(), cpu_.get()}) {
        const DeviceArray<float> own(*backend, partials);
        const DeviceArray<std::uint32_t> own_targets(*backend, targets);
        const DeviceArray<float> out(*backend, std::vector<float>(tokens, -7.0f));
        backend->combine_partials(own.data(), slices, own_targets.data(), tokens, out.data());
        nll.push_back(out.values());
      }
      double worst = 0.0;
      for (std::size_t t = 0; t < tokens; ++t) {
        const double error = std::abs(double{nll[0][t]} - nll[1][t]) / std::max(1.0f, nll[1][t]);
        if (!(error <= worst)) worst = error;
      }
      EXPECT_TRUE(worst <= 1e-6) << slices << " slices: worst " << worst;
      EXPECT_TRUE(tokens <= 3 || nll[0][3] == 0.0f);
    }
  }
}

}  // namespace
}  // namespace fp8cal
