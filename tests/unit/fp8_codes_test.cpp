#include "coordinator/scales/fp8_codes.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace fp8cal {
namespace {

constexpr Fp8Format kFormats[] = {Fp8Format::e4m3, Fp8Format::e5m2};

TEST(Fp8Codes, AreTheFormatsMagnitudes) {
  for (Fp8Format format : kFormats) {
    const Fp8Codes& codes = Fp8Codes::of(format);
    EXPECT_EQ(codes.value(0), 0.0f);
    EXPECT_EQ(codes.value(codes.largest()), largest_of(format));
  }
  EXPECT_EQ(Fp8Codes::of(Fp8Format::e4m3).largest(), 126u);
  EXPECT_EQ(Fp8Codes::of(Fp8Format::e5m2).largest(), 123u);
}

TEST(Fp8Codes, EveryMagnitudeRoundsToTheCodeWhoseRunItIsIn) {
  for (Fp8Format format : kFormats) {
    const Fp8Codes& codes = Fp8Codes::of(format);
    for (float scale : {1.0f, 3.0f, 0.37f, 0x1p-100f, 1e-30f, 1e-40f, 1e30f, 3e38f}) {
      std::size_t bin = 0;
      for (std::size_t code = 0; code <= codes.largest(); ++code) {
        for (; bin < codes.end(code, scale); ++bin) {
          const float quotient = bf16_to_float(static_cast<bf16_bits>(bin)) / scale;
          ASSERT_EQ(float_to_fp8(format, std::min(quotient, largest_of(format))), code)
              << "bin " << bin << " at scale " << scale;
        }
      }
      EXPECT_EQ(bin, Fp8Codes::kBins);
    }
  }
}

TEST(Fp8Codes, TiesGoToTheEvenCode) {
  // E4M3 has 16 and 18 with 17 between them, code 88 below code 89; 19 lies between 89 and 90.
  const Fp8Codes& codes = Fp8Codes::of(Fp8Format::e4m3);
  ASSERT_EQ(codes.value(88), 16.0f);
  EXPECT_EQ(codes.end(88, 1.0f), float_to_bf16(17.0f) + 1u);
  EXPECT_EQ(codes.end(89, 1.0f), float_to_bf16(19.0f));
}

TEST(Fp8Codes, FirstAboveIsStrict) {
  EXPECT_EQ(Fp8Codes::first_above(3.0f, 1.0f), float_to_bf16(3.0f) + 1u);
  EXPECT_EQ(Fp8Codes::first_above(3.0f, 2.0f), float_to_bf16(6.0f) + 1u);
  EXPECT_EQ(Fp8Codes::first_above(448.0f, 3e38f), Fp8Codes::kBins);
}

}  // namespace
}  // namespace fp8cal
