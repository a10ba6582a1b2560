#include "kernels/float_formats.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace fp8cal {
namespace {

struct Format {
  const char* name;
  Fp8Format format;
  std::uint8_t (*encode)(float);
  float (*decode)(std::uint8_t);
  float largest;
  std::uint8_t largest_code;
  float least;  // subnormal
};

class Fp8FormatTest : public testing::TestWithParam<Format> {};

TEST_P(Fp8FormatTest, EveryCodeSurvivesARoundTrip) {
  for (int code = 0; code < 256; ++code) {
    const float value = GetParam().decode(static_cast<std::uint8_t>(code));
    if (!std::isfinite(value)) continue;
    EXPECT_EQ(GetParam().encode(value), code) << value;
  }
}

TEST_P(Fp8FormatTest, RoundsToNearestEvenBetweenAllNeighbours) {
  for (int code = 0; code < GetParam().largest_code; ++code) {
    const float low = GetParam().decode(static_cast<std::uint8_t>(code));
    const float high = GetParam().decode(static_cast<std::uint8_t>(code + 1));
    ASSERT_LT(low, high);
    const float middle = (low + high) / 2;  // exact
    const int even = code % 2 == 0 ? code : code + 1;
    for (const int sign : {0, 0x80}) {
      const float s = sign == 0 ? 1.0f : -1.0f;
      EXPECT_EQ(GetParam().encode(s * middle), sign | even) << s * middle;
      EXPECT_EQ(GetParam().encode(s * std::nextafter(middle, 0.0f)), sign | code);
      EXPECT_EQ(GetParam().encode(s * std::nextafter(middle, high)), sign | (code + 1));
    }
  }
}

TEST_P(Fp8FormatTest, SaturatesBeyondTheLargestNumber) {
  const Format& format = GetParam();
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float value : {format.largest, format.largest * 1.0001f, format.largest * 1.2f,
                            format.largest * 2, 1e38f, infinity}) {
    EXPECT_EQ(format.encode(value), format.largest_code) << value;
    EXPECT_EQ(format.encode(-value), 0x80 | format.largest_code) << value;
  }
  EXPECT_EQ(format.decode(format.largest_code), format.largest);
}

TEST_P(Fp8FormatTest, KeepsSignedZeroAndFlushesBelowHalfOfTheLeast) {
  const Format& format = GetParam();
  EXPECT_EQ(format.encode(0.0f), 0x00);
  EXPECT_EQ(format.encode(-0.0f), 0x80);
  EXPECT_EQ(format.decode(0x01), format.least);
  EXPECT_EQ(format.encode(format.least / 2), 0x00);
  EXPECT_EQ(format.encode(std::nextafter(format.least / 2, 1.0f)), 0x01);
  EXPECT_EQ(format.encode(std::numeric_limits<float>::denorm_min()), 0x00);
}

TEST_P(Fp8FormatTest, NanStaysNanWithItsSign) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(GetParam().encode(nan), 0x7F);
  EXPECT_EQ(GetParam().encode(-nan), 0xFF);
  EXPECT_TRUE(std::isnan(GetParam().decode(0x7F)));
  EXPECT_TRUE(std::isnan(GetParam().decode(0xFF)));
}

/// The finite code nearest to `value`, of two equally near the even one, by trying all.
std::uint8_t nearest_code(const Format& format, float value) {
  const int sign = std::signbit(value) ? 0x80 : 0;
  const double magnitude = std::min(std::fabs(value), format.largest);
  int nearest = 0;
  double least = std::numeric_limits<double>::infinity();
  for (int code = 0; code < 0x80; ++code) {
    const float decoded = format.decode(static_cast<std::uint8_t>(code));
    if (!std::isfinite(decoded)) continue;
    const double distance = std::fabs(magnitude - decoded);
    if (distance < least || (distance == least && code % 2 == 0)) {
      nearest = code;
      least = distance;
    }
  }
  return static_cast<std::uint8_t>(sign | nearest);
}

TEST_P(Fp8FormatTest, EveryBf16GoesToTheNearestCode) {
  const Format& format = GetParam();
  for (int bits = 0; bits < 0x10000; ++bits) {
    const float value = bf16_to_float(static_cast<bf16_bits>(bits));
    const int nan_code = (bits >> 8 & 0x80) | 0x7F;
    const int expected = std::isnan(value) ? nan_code : nearest_code(format, value);
    ASSERT_EQ(format.encode(value), expected) << value;
    ASSERT_EQ(float_to_fp8(format.format, value), expected) << value;
  }
}

TEST_P(Fp8FormatTest, ByTheNameOfTheFormat) {
  const Format& format = GetParam();
  EXPECT_EQ(largest_of(format.format), format.largest);
  for (int code = 0; code < 256; ++code) {
    const auto bits = static_cast<std::uint8_t>(code);
    EXPECT_EQ(std::bit_cast<std::uint32_t>(fp8_to_float(format.format, bits)),
              std::bit_cast<std::uint32_t>(format.decode(bits)));
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, Fp8FormatTest,
                         testing::Values(Format{"E4M3", Fp8Format::e4m3, float_to_e4m3,
                                                e4m3_to_float, kE4M3Max, 0x7E, 0x1p-9f},
                                         Format{"E5M2", Fp8Format::e5m2, float_to_e5m2,
                                                e5m2_to_float, kE5M2Max, 0x7B, 0x1p-16f}),
                         [](const auto& info) { return info.param.name; });

TEST(Fp8Values, MatchThePaper) {
  EXPECT_EQ(e4m3_to_float(0x38), 1.0f);
  EXPECT_EQ(e4m3_to_float(0x08), 0x1p-6f);  // least normal
  EXPECT_EQ(e4m3_to_float(0x07), 0.875f * 0x1p-6f);
  EXPECT_EQ(e4m3_to_float(0xC1), -2.25f);
  EXPECT_EQ(e5m2_to_float(0x3C), 1.0f);
  EXPECT_EQ(e5m2_to_float(0x04), 0x1p-14f);  // least normal
  EXPECT_EQ(e5m2_to_float(0x7C), std::numeric_limits<float>::infinity());
  EXPECT_EQ(e5m2_to_float(0xFC), -std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(e5m2_to_float(0x7D)));
}

TEST(Bf16, EveryNumberSurvivesARoundTrip) {
  for (int bits = 0; bits < 0x10000; ++bits) {
    const float value = bf16_to_float(static_cast<bf16_bits>(bits));
    const bf16_bits back = float_to_bf16(value);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(bf16_to_float(back)));
    } else {
      EXPECT_EQ(back, bits);
    }
  }
}

TEST(Bf16, RoundsToNearestEvenBetweenAllNeighbours) {
  for (int code = 0; code < 0x7F7F; ++code) {
    const float low = bf16_to_float(static_cast<bf16_bits>(code));
    const float high = bf16_to_float(static_cast<bf16_bits>(code + 1));
    const float middle = low + (high - low) / 2;
    EXPECT_EQ(float_to_bf16(middle), code % 2 == 0 ? code : code + 1) << code;
    EXPECT_EQ(float_to_bf16(std::nextafter(middle, 0.0f)), code);
    EXPECT_EQ(float_to_bf16(std::nextafter(middle, high)), code + 1);
  }
}

TEST(Bf16, OverflowGivesInfinity) {
  EXPECT_EQ(float_to_bf16(std::numeric_limits<float>::max()), 0x7F80);
  EXPECT_EQ(float_to_bf16(std::numeric_limits<float>::lowest()), 0xFF80);
  EXPECT_EQ(float_to_bf16(bf16_to_float(0x7F7F)), 0x7F7F);
}

TEST(Fp16, KnownValues) {
  EXPECT_EQ(fp16_to_float(0x3C00), 1.0f);
  EXPECT_EQ(fp16_to_float(0xC500), -5.0f);
  EXPECT_EQ(fp16_to_float(0x7BFF), 65504.0f);
  EXPECT_EQ(fp16_to_float(0x0001), 0x1p-24f);
  EXPECT_EQ(fp16_to_float(0x03FF), 1023 * 0x1p-24f);
  EXPECT_EQ(fp16_to_float(0x0400), 0x1p-14f);
  EXPECT_EQ(fp16_to_float(0x8000), 0.0f);
  EXPECT_TRUE(std::signbit(fp16_to_float(0x8000)));
  EXPECT_EQ(fp16_to_float(0xFC00), -std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(fp16_to_float(0x7C01)));
}

TEST(ScaleOf, ZeroAmaxGivesOne) {
  EXPECT_EQ(scale_of(0.0f, kE4M3Max), 1.0f);
  EXPECT_EQ(scale_of(896.0f, kE4M3Max), 2.0f);
}

}  // namespace
}  // namespace fp8cal
