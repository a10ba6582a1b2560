#include <gtest/gtest.h>

#include <limits>

#include "gpu_test.hpp"

namespace fp8cal {
namespace {

using CudaQuantize = BothBackends;

constexpr DType kFormats[] = {DType::e4m3, DType::e5m2};

TestMatrix every_bf16(std::size_t gap) {
  TestMatrix all(DType::bf16, 256, 256, gap);
  for (int bits = 0; bits < 0x10000; ++bits) all.bits(bits / 256, bits % 256) = bits;
  return all;
}

TestMatrix quantized(Backend& backend, const TestMatrix& x, const std::vector<float>& scales,
                     const TestMatrix& out) {
  const DeviceCopy own_x(backend, x), own_out(backend, out);
  const DeviceArray<float> own_scales(backend, scales);
  backend.quantize(own_x, {own_scales.data(), scales.size()}, own_out);
  return own_out.values();
}

std::size_t differences(TestMatrix a, TestMatrix b) {
  std::size_t count = 0;
  for (std::size_t r = 0; r < a.view().rows; ++r) {
    for (std::size_t c = 0; c < a.view().cols; ++c) count += a.code(r, c) != b.code(r, c);
  }
  return count;
}

TEST_F(CudaQuantize, EveryNumberEqualsTheCpus) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float scales[] = {1.0f,   0.0123f, 0.3f, 1.7f,  3.7e-9f,  512.0f, 1e30f,
                          1e-30f, 1e-40f,  0.0f, -2.0f, infinity, nan,    -nan};
  for (const std::size_t gap : {0, 3}) {
    const TestMatrix x = every_bf16(gap);
    for (const DType dtype : kFormats) {
      const TestMatrix out(dtype, 256, 256, gap == 0 ? 0 : 5);
      for (const float scale : scales) {
        const TestMatrix found = quantized(*cuda_, x, {scale}, out);
        const TestMatrix expected = quantized(*cpu_, x, {scale}, out);
        EXPECT_TRUE(found == expected) << "scale " << scale << ", e5m2 " << (dtype == DType::e5m2)
                                       << ": " << differences(found, expected) << " different";
      }
    }
  }
}

TEST_F(CudaQuantize, EveryNumberByManyScales) {
  constexpr std::size_t kScales = 500;
  TestMatrix x(DType::bf16, kScales, 0x10000);
  std::vector<float> scales;
  for (std::size_t r = 0; r < kScales; ++r) {
    for (std::size_t c = 0; c < 0x10000; ++c) x.bits(r, c) = static_cast<bf16_bits>(c);
    // Exponents from -50 to 49, significands from all over.
    const auto significand = static_cast<std::uint32_t>(r * 2654435761u >> 9 & 0x7FFFFF);
    scales.push_back(
        std::bit_cast<float>(static_cast<std::uint32_t>(r % 100 + 77) << 23 | significand));
  }
  for (const DType dtype : kFormats) {
    const TestMatrix out(dtype, kScales, 0x10000);
    const TestMatrix found = quantized(*cuda_, x, scales, out);
    const TestMatrix expected = quantized(*cpu_, x, scales, out);
    EXPECT_TRUE(found == expected) << differences(found, expected) << " different";
  }
}

TEST_F(CudaQuantize, OneScaleARow) {
  for (const TestSize& size : kTestSizes) {
    const TestMatrix x = random_bf16(size.rows, size.cols, 1, size.gap);
    std::vector<float> scales;
    for (std::size_t r = 0; r < size.rows; ++r) scales.push_back(0.0003f * (r % 97 + 1));
    for (const DType dtype : kFormats) {
      const TestMatrix out(dtype, size.rows, size.cols, 2 * size.gap);
      EXPECT_TRUE(quantized(*cuda_, x, scales, out) == quantized(*cpu_, x, scales, out))
          << size.to_string();
    }
  }
}

TEST_F(CudaQuantize, RowsByTheirAmax) {
  for (const TestSize& size : kTestSizes) {
    TestMatrix x = random_bf16(size.rows, size.cols, 2, size.gap);
    for (std::size_t c = 0; c < size.cols && size.rows > 3; ++c) {
      x.bits(0, c) = 0x8000;  // zeros
      x.bits(1, c) = 0x0001;  // the least subnormal
    }
    if (size.rows > 3 && size.cols > 0) {
      x.bits(2, size.cols - 1) = 0xFF80;
      x.bits(3, size.cols / 2) = 0xFFC1;
    }
    for (const DType dtype : kFormats) {
      const TestMatrix out(dtype, size.rows, size.cols, 2 * size.gap);
      std::vector<std::vector<std::uint32_t>> scales;
      std::vector<TestMatrix> codes;
      for (Backend* backend : {cuda_.get(), cpu_.get()}) {
        const DeviceCopy own_x(*backend, x), own_out(*backend, out);
        const DeviceArray<std::uint32_t> own_scales(
            *backend, std::vector<std::uint32_t>(size.rows + 1, 0xABABABABu));
        backend->quantize_rows(own_x, own_out, reinterpret_cast<float*>(own_scales.data()));
        scales.push_back(own_scales.values());
        codes.push_back(own_out.values());
        if (size.rows > 3 && size.cols > 0) {  // a NaN's bits are not defined
          const float scale = std::bit_cast<float>(scales.back()[3]);
          EXPECT_NE(scale, scale);
          scales.back()[3] = 0;
        }
      }
      EXPECT_EQ(scales[0], scales[1]) << size.to_string();
      EXPECT_TRUE(codes[0] == codes[1])
          << size.to_string() << ": " << differences(codes[0], codes[1]) << " different";
    }
  }
}

}  // namespace
}  // namespace fp8cal
