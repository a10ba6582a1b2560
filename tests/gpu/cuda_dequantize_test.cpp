#include <gtest/gtest.h>

#include <cstdio>

#include "gpu_test.hpp"

namespace fp8cal {
namespace {

constexpr DType kFormats[] = {DType::e4m3, DType::e5m2};

/// All codes, by rows and columns.
TestMatrix codes_of(DType format, const TestSize& size) {
  TestMatrix codes(format, size.rows, size.cols, size.gap);
  for (std::size_t r = 0; r < size.rows; ++r) {
    for (std::size_t c = 0; c < size.cols; ++c) {
      codes.code(r, c) = static_cast<std::uint8_t>(37 * r + c);
    }
  }
  return codes;
}

class CudaDequantize : public BothBackends {
 protected:
  static TestMatrix dequantized(Backend& backend, const TestMatrix& codes,
                                const std::vector<float>& scales, const TestMatrix& out) {
    const DeviceCopy own_codes(backend, codes), own_out(backend, out);
    const DeviceArray<float> own_scales(backend, scales);
    backend.dequantize(own_codes, {own_scales.data(), scales.size()}, own_out);
    return own_out.values();
  }

  void expect_equal(const TestMatrix& codes, const std::vector<float>& scales,
                    const TestMatrix& out, const std::string& what) {
    TestMatrix found = dequantized(*cuda_, codes, scales, out);
    TestMatrix expected = dequantized(*cpu_, codes, scales, out);
    if (found == expected) return;
    std::size_t count = 0;
    for (std::size_t r = 0; r < out.view().rows; ++r) {
      for (std::size_t c = 0; c < out.view().cols; ++c) {
        if (found.bits(r, c) == expected.bits(r, c)) continue;
        if (count++ > 0) continue;
        ADD_FAILURE() << what << ": code " << int{codes.view().row<std::uint8_t>(r)[c]} << " at "
                      << r << ", " << c << ": expected bits " << expected.bits(r, c) << ", found "
                      << found.bits(r, c);
      }
    }
    ADD_FAILURE() << what << ": " << count << " different" << (count == 0 ? ", but gaps" : "");
  }
};

TEST_F(CudaDequantize, EveryCodeByManyScales) {
  // All exponents, for subnormal numbers and overflow, and significands from all over.
  constexpr std::size_t kScales = 1000;
  std::vector<float> scales;
  for (std::size_t r = 0; r < kScales; ++r) {
    const auto significand = static_cast<std::uint32_t>(r * 2654435761u >> 9 & 0x7FFFFF);
    const auto exponent = static_cast<std::uint32_t>(r % 254);
    scales.push_back(std::bit_cast<float>(exponent << 23 | significand | 1));
  }
  for (const DType format : kFormats) {
    const TestMatrix codes = codes_of(format, {kScales, 256, 0});
    const TestMatrix out(DType::bf16, kScales, 256);
    expect_equal(codes, scales, out, "one a row");
    for (const float scale : {1.0f, 0.00123f, 1e-45f, 3e38f, 1.00390625f}) {
      expect_equal(codes, {scale}, out, "scale " + std::to_string(scale));
    }
  }
}

TEST_F(CudaDequantize, AllSizesStridesAndScales) {
  for (const TestSize& size : kTestSizes) {
    std::vector<float> scales;
    for (std::size_t r = 0; r < size.rows; ++r) scales.push_back(0.0003f * (r % 97 + 1));
    for (const DType format : kFormats) {
      const TestMatrix codes = codes_of(format, size);
      for (const std::size_t gap : {size.gap, 2 * size.gap + 8, std::size_t{1}}) {
        const TestMatrix out(DType::bf16, size.rows, size.cols, gap);
        expect_equal(codes, {0.0317f}, out, size.to_string() + ", one scale");
        if (size.rows > 0) expect_equal(codes, scales, out, size.to_string() + ", one a row");
      }
    }
  }
}

TEST_F(CudaDequantize, Speed) {
  constexpr std::size_t kRows = 14336, kCols = 8192;
  for (const DType format : kFormats) {
    const DeviceCopy codes(*cuda_, codes_of(format, {kRows, kCols, 0}));
    const Buffer out = cuda_->allocate(2 * kRows * kCols);
    const Matrix wide = Matrix::dense(out.data(), DType::bf16, kRows, kCols);
    const DeviceArray<float> scales(*cuda_, std::vector<float>(kRows, 0.01f));
    for (const std::size_t count : {std::size_t{1}, kRows}) {
      const double seconds = seconds_of(*cuda_, 20, [&] {
        cuda_->dequantize(codes, {scales.data(), count}, wide);
      });
      const double rate = 3.0 * kRows * kCols / seconds;
      std::printf("  dequantize %s, %5zu scales, %zu x %zu: %7.1f us  %7.1f GB/s\n",
                  format == DType::e4m3 ? "e4m3" : "e5m2", count, kRows, kCols, seconds * 1e6,
                  rate / 1e9);
      EXPECT_GT(rate, 5e10);
    }
  }
}

}  // namespace
}  // namespace fp8cal
