#include "coordinator/scales/tensor_diagnostics.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "coordinator/scales/convergence.hpp"

namespace fp8cal {
namespace {

TEST(TensorDiagnostics, AreCountedByHand) {
  // E4M3 at scale 1: 450 is clipped to 448, 2^-12 flushed.
  std::vector<std::uint64_t> histogram(32768);
  for (float x : {1.0f, 450.0f, 0x1p-12f, 0.0f}) ++histogram[float_to_bf16(x)];
  const QuantizationError error =
      quantization_error(Distribution(histogram), 1.0f, Fp8Format::e4m3);
  EXPECT_EQ(error.elements, 4u);
  EXPECT_EQ(error.clipped, 1u);
  EXPECT_EQ(error.flushed, 1u);
  EXPECT_EQ(error.energy, 1.0 + 202500.0 + 0x1p-24);
  EXPECT_EQ(error.squared_error, 4.0 + 0x1p-24);
}

TEST(TensorDiagnostics, RatiosAreInDecibelsAndBits) {
  const QuantizationError hundredth = {.energy = 100, .squared_error = 1};
  EXPECT_DOUBLE_EQ(sqnr_db(hundredth), 20.0);
  EXPECT_DOUBLE_EQ(effective_bits(hundredth), 18.24 / 6.02);
  const double infinite = std::numeric_limits<double>::infinity();
  EXPECT_EQ(sqnr_db({.energy = 5, .squared_error = 0}), infinite);
  EXPECT_EQ(sqnr_db({}), infinite);
  EXPECT_EQ(effective_bits({}), infinite);

  EXPECT_DOUBLE_EQ(gain_db(10, 1), 10.0);
  EXPECT_DOUBLE_EQ(gain_db(1, 10), -10.0);
  EXPECT_EQ(gain_db(0, 0), 0.0);
  EXPECT_EQ(gain_db(1, 0), infinite);
}

TEST(Convergence, ComparesWithHalfOfTheSequences) {
  const std::vector<AmaxSnapshot> snapshots = {{32, 10.0f}, {64, 20.0f}, {128, 40.0f}};
  EXPECT_DOUBLE_EQ(convergence_of(snapshots, 42.0f, 256)->growth, 0.05);
  EXPECT_TRUE(convergence_of(snapshots, 42.0f, 256)->converged());
  EXPECT_FALSE(convergence_of(snapshots, 43.0f, 256)->converged());
  EXPECT_DOUBLE_EQ(convergence_of(snapshots, 40.0f, 255)->growth, 1.0);  // 128 is more than half
  EXPECT_DOUBLE_EQ(convergence_of(snapshots, 40.0f, 1000)->growth, 0.0);
  EXPECT_FALSE(convergence_of(snapshots, 40.0f, 63));
  EXPECT_FALSE(convergence_of({}, 40.0f, 63));
}

TEST(Convergence, OfATensorThatWasZero) {
  const std::vector<AmaxSnapshot> snapshots = {{32, 0.0f}};
  EXPECT_TRUE(convergence_of(snapshots, 0.0f, 64)->converged());
  EXPECT_FALSE(convergence_of(snapshots, 1.0f, 64)->converged());
}

}  // namespace
}  // namespace fp8cal
