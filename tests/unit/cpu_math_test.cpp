#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "kernels/cpu/math.hpp"

namespace fp8cal {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// |found - exact| in units of the last place of the float at `exact`.
double ulps(float found, double exact) {
  const float nearest = static_cast<float>(exact);
  if (!std::isfinite(nearest) || nearest == 0.0f) {
    return found == nearest ? 0.0 : std::numeric_limits<double>::infinity();
  }
  const float magnitude = std::fabs(nearest);
  const double ulp = static_cast<double>(std::nextafter(magnitude, kInfinity)) - magnitude;
  return std::fabs(found - exact) / ulp;
}

TEST(Exp, AgreesWithDoubleOverTheWholeRange) {
  double worst = 0.0;
  for (std::uint32_t bits = 0; bits < 0x7F800000u; bits += 613) {
    for (const std::uint32_t sign : {0u, 0x80000000u}) {
      const float x = std::bit_cast<float>(bits | sign);
      const double exact = std::exp(static_cast<double>(x));
      // Where the result is neither 0 nor infinite in either rounding of the boundary.
      if (x > 88.72f || x < -103.9f) continue;
      worst = std::max(worst, ulps(exp_f32(x), exact));
    }
  }
  EXPECT_LE(worst, 1.1);
}

TEST(Exp, DenseBelowZeroWhereSoftmaxUsesIt) {
  double worst = 0.0;
  for (int i = 0; i < 2000000; ++i) {
    const float x = -static_cast<float>(i) * 2.5e-5f;
    worst = std::max(worst, ulps(exp_f32(x), std::exp(static_cast<double>(x))));
  }
  EXPECT_LE(worst, 1.1);
}

TEST(Exp, Limits) {
  EXPECT_EQ(exp_f32(0.0f), 1.0f);
  EXPECT_EQ(exp_f32(-0.0f), 1.0f);
  EXPECT_EQ(exp_f32(-kInfinity), 0.0f);
  EXPECT_EQ(exp_f32(-105.0f), 0.0f);
  EXPECT_EQ(exp_f32(-103.0f), std::numeric_limits<float>::denorm_min());
  EXPECT_EQ(exp_f32(88.8f), kInfinity);
  EXPECT_EQ(exp_f32(kInfinity), kInfinity);
  EXPECT_LT(exp_f32(88.7f), kInfinity);
  EXPECT_TRUE(std::isnan(exp_f32(kNan)));
}

TEST(Log, WithinOneUlpOfDoubleOverAllPositiveNumbers) {
  double worst = 0.0;
  for (std::uint32_t bits = 1; bits < 0x7F800000u; bits += 613) {
    const float x = std::bit_cast<float>(bits);
    worst = std::max(worst, ulps(log_f32(x), std::log(static_cast<double>(x))));
  }
  EXPECT_LE(worst, 1.0);
}

TEST(Log, NearOneAndAroundTheFold) {
  for (const float centre : {1.0f, std::sqrt(2.0f), std::sqrt(0.5f)}) {
    std::uint32_t bits = std::bit_cast<std::uint32_t>(centre) - 5000;
    for (int i = 0; i < 10000; ++i, ++bits) {
      const float x = std::bit_cast<float>(bits);
      ASSERT_LE(ulps(log_f32(x), std::log(static_cast<double>(x))), 1.0) << x;
    }
  }
}

TEST(Log, Limits) {
  EXPECT_EQ(log_f32(1.0f), 0.0f);
  EXPECT_EQ(log_f32(0.0f), -kInfinity);
  EXPECT_EQ(log_f32(kInfinity), kInfinity);
  EXPECT_TRUE(std::isnan(log_f32(-1.0f)));
  EXPECT_TRUE(std::isnan(log_f32(kNan)));
}

}  // namespace
}  // namespace fp8cal
