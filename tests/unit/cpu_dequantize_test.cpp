#include <gtest/gtest.h>

#include <cmath>

#include "cpu_test_support.hpp"

namespace fp8cal {
namespace {

constexpr DType kFormats[] = {DType::e4m3, DType::e5m2};

/// Row r holds the codes from r on.
TestMatrix codes_of(DType format, std::size_t rows, std::size_t cols, std::size_t gap = 0) {
  TestMatrix codes(format, rows, cols, gap);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < cols; ++c) codes.code(r, c) = static_cast<std::uint8_t>(r + c);
  }
  return codes;
}

/// In double, where the product is exact, and rounded as the contract says.
bf16_bits reference(DType format, std::uint8_t code, float scale) {
  const float value = format == DType::e4m3 ? e4m3_to_float(code) : e5m2_to_float(code);
  const int sign = (code & 0x80) << 8;
  if (std::isnan(value)) return static_cast<bf16_bits>(sign | 0x7FC0);
  if (std::isinf(value)) return static_cast<bf16_bits>(sign | 0x7F80);
  return float_to_bf16(static_cast<float>(double{value} * double{scale}));
}

TEST(CpuDequantize, HandChecked) {
  TestMatrix codes(DType::e4m3, 2, 3), out(DType::bf16, 2, 3);
  const std::uint8_t bytes[] = {0x38, 0xC1, 0x01, 0x7E, 0x80, 0xFF};  // 1, -2.25, 2^-9, 448, -0
  for (std::size_t i = 0; i < 6; ++i) codes.code(i / 3, i % 3) = bytes[i];
  const float scales[] = {0.5f, 3.0f};
  make_cpu_backend(1)->dequantize(codes, {scales, 2}, out);
  EXPECT_EQ(out.value(0, 0), 0.5f);
  EXPECT_EQ(out.value(0, 1), -1.125f);
  EXPECT_EQ(out.value(0, 2), 0x1p-10f);
  EXPECT_EQ(out.value(1, 0), 1344.0f);
  EXPECT_EQ(out.bits(1, 1), 0x8000);
  EXPECT_EQ(out.bits(1, 2), 0xFFC0);
}

TEST(CpuDequantize, EveryCodeByManyScales) {
  // Scales that give subnormal numbers, overflow, and ties of BF16 (1 + 2^-8 and the like).
  const std::vector<float> scales = {1.0f,   0.00123f,   1.00390625f, 1.01171875f, 0.3333333f,
                                     0x1p9f, 7.7e-39f,   0x1p-140f,   1e-45f,      3e38f,
                                     1e36f,  0.9999999f, 2.5f};
  for (const DType format : kFormats) {
    const TestMatrix codes = codes_of(format, scales.size(), 256, 3);
    for (const auto& [name, backend] : all_cpu_backends()) {
      TestMatrix by_row(DType::bf16, scales.size(), 256, 1);
      backend->dequantize(codes, {scales.data(), scales.size()}, by_row);
      for (std::size_t r = 0; r < scales.size(); ++r) {
        TestMatrix by_one(DType::bf16, scales.size(), 256);
        backend->dequantize(codes, {&scales[r], 1}, by_one);
        for (std::size_t c = 0; c < 256; ++c) {
          ASSERT_EQ(by_row.bits(r, c),
                    reference(format, codes.view().row<std::uint8_t>(r)[c], scales[r]))
              << name << ", scale " << scales[r];
          ASSERT_EQ(by_one.bits(r, c), by_row.bits(r, c)) << name;
        }
      }
    }
  }
}

TEST(CpuDequantize, LargeOnAllThreadsAndOddSizes) {
  for (const auto& [rows, cols] : {std::pair{1, 1}, {3, 17}, {500, 1031}}) {
    for (const DType format : kFormats) {
      const TestMatrix codes = codes_of(format, rows, cols, 5);
      std::vector<float> scales;
      for (int r = 0; r < rows; ++r) scales.push_back(0.001f * static_cast<float>(r + 1));
      TestMatrix expected(DType::bf16, rows, cols, 2);
      for (int r = 0; r < rows; ++r) {
        for (int c = 0; c < cols; ++c) {
          expected.bits(r, c) = reference(format, codes.view().row<std::uint8_t>(r)[c], scales[r]);
        }
      }
      for (const auto& [name, backend] : all_cpu_backends()) {
        TestMatrix out(DType::bf16, rows, cols, 2);
        backend->dequantize(codes, {scales.data(), scales.size()}, out);
        EXPECT_TRUE(out == expected) << name << " " << rows << " x " << cols;
      }
    }
  }
}

TEST(CpuDequantize, RefusesWhatDoesNotFit) {
  const auto backend = make_cpu_backend(1);
  const float scales[3] = {1, 1, 1};
  const TestMatrix codes = codes_of(DType::e4m3, 3, 4);
  const auto error = [&](const TestMatrix& from, Scales scale, const TestMatrix& out) {
    return shape_error([&] { backend->dequantize(from, scale, out); });
  };
  EXPECT_EQ(error(codes, {scales, 2}, TestMatrix(DType::bf16, 3, 4)),
            "dequantize: scale: expected 1 or 3 scales, found 2");
  EXPECT_EQ(error(codes, {scales, 1}, TestMatrix(DType::bf16, 3, 5)),
            "dequantize: out: expected [3, 4] bf16, found [3, 5] bf16");
  EXPECT_EQ(error(TestMatrix(DType::bf16, 3, 4), {scales, 1}, TestMatrix(DType::bf16, 3, 4)),
            "dequantize: codes: expected [3, 4] e4m3 or e5m2, found [3, 4] bf16");
}

TEST(CpuDequantize, Nothing) {
  const float scale = 1.0f;
  const auto backend = make_cpu_backend(1);
  backend->dequantize(TestMatrix(DType::e4m3, 0, 5), {&scale, 1}, TestMatrix(DType::bf16, 0, 5));
  backend->dequantize(TestMatrix(DType::e5m2, 5, 0), {&scale, 1}, TestMatrix(DType::bf16, 5, 0));
}

}  // namespace
}  // namespace fp8cal
