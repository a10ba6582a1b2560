#include <gtest/gtest.h>

#include <cmath>

#include "cpu_test_support.hpp"

namespace fp8cal {
namespace {

std::uint8_t encode(DType dtype, float value) {
  return dtype == DType::e4m3 ? float_to_e4m3(value) : float_to_e5m2(value);
}

/// Every bf16 number once.
TestMatrix every_bf16() {
  TestMatrix all(DType::bf16, 256, 256, 3);
  for (int bits = 0; bits < 0x10000; ++bits) all.bits(bits / 256, bits % 256) = bits;
  return all;
}

TEST(CpuQuantize, EveryNumberEqualsTheReferenceConversion) {
  const TestMatrix x = every_bf16();
  for (const DType dtype : {DType::e4m3, DType::e5m2}) {
    for (const float scale : {1.0f, 0.0123f, 3.7e-9f, 512.0f, 1e30f, 1e-40f}) {
      TestMatrix expected(dtype, 256, 256, 5);
      for (std::size_t r = 0; r < 256; ++r) {
        for (std::size_t c = 0; c < 256; ++c) {
          expected.code(r, c) = encode(dtype, x.value(r, c) / scale);
        }
      }
      for (const auto& [name, backend] : all_cpu_backends()) {
        TestMatrix out(dtype, 256, 256, 5);
        backend->quantize(x, {&scale, 1}, out);
        EXPECT_TRUE(out == expected) << name << " " << scale;
      }
    }
  }
}

TEST(CpuQuantize, HalfwayQuotientsRoundToEven) {
  const float scale = 1.0f;
  const TestMatrix x = bf16_matrix({{17, 19, -17, 1000, 0x1p-10f, 0x1.8p-9f}});
  TestMatrix out(DType::e4m3, 1, 6);
  make_cpu_backend(1)->quantize(x, {&scale, 1}, out);
  const float expected[] = {16, 20, -16, 448, 0, 0x1p-8f};
  for (std::size_t c = 0; c < 6; ++c) EXPECT_EQ(out.value(0, c), expected[c]) << c;
}

TEST(CpuQuantize, ManyThreadsAndOneScaleARow) {
  const TestMatrix x = random_bf16(301, 2011, 1, 2);
  std::vector<float> scales;
  for (std::size_t r = 0; r < 301; ++r) scales.push_back(0.001f * (r + 1));
  TestMatrix expected(DType::e4m3, 301, 2011, 1);
  for (std::size_t r = 0; r < 301; ++r) {
    for (std::size_t c = 0; c < 2011; ++c) {
      expected.code(r, c) = float_to_e4m3(x.value(r, c) / scales[r]);
    }
  }
  for (const auto& [name, backend] : all_cpu_backends()) {
    TestMatrix out(DType::e4m3, 301, 2011, 1);
    backend->quantize(x, {scales.data(), scales.size()}, out);
    EXPECT_TRUE(out == expected) << name;
  }
}

TEST(CpuQuantizeRows, ScalesEachRowByItsAmax) {
  TestMatrix x = random_bf16(65, 1031, 2, 1);
  for (std::size_t c = 0; c < 1031; ++c) x.bits(7, c) = 0x8000;  // zeros
  for (const DType dtype : {DType::e4m3, DType::e5m2}) {
    const float largest = dtype == DType::e4m3 ? kE4M3Max : kE5M2Max;
    for (const auto& [name, backend] : all_cpu_backends()) {
      TestMatrix out(dtype, 65, 1031, 4);
      std::vector<float> scales(65, -1.0f);
      backend->quantize_rows(x, out, scales.data());
      for (std::size_t r = 0; r < 65; ++r) {
        float amax = 0.0f;
        for (std::size_t c = 0; c < 1031; ++c) amax = std::max(amax, std::fabs(x.value(r, c)));
        ASSERT_EQ(scales[r], scale_of(amax, largest)) << name;
        for (std::size_t c = 0; c < 1031; ++c) {
          ASSERT_EQ(out.code(r, c), encode(dtype, x.value(r, c) / scales[r])) << name;
        }
      }
      EXPECT_EQ(out.code(0, 1031), kPoison);
    }
  }
}

TEST(VectorKernels, DecodeEveryCode) {
  std::uint8_t codes[256];
  for (int i = 0; i < 256; ++i) codes[i] = static_cast<std::uint8_t>(i);
  for (const VectorKernels* kernels : available_vector_kernels()) {
    std::uint16_t e4m3[256], e5m2[256];
    kernels->decode_e4m3(codes, 256, e4m3);
    kernels->decode_e5m2(codes, 256, e5m2);
    for (int i = 0; i < 256; ++i) {
      const float values[] = {e4m3_to_float(codes[i]), e5m2_to_float(codes[i])};
      const std::uint16_t found[] = {e4m3[i], e5m2[i]};
      for (int f = 0; f < 2; ++f) {
        if (std::isnan(values[f])) {
          EXPECT_TRUE(std::isnan(bf16_to_float(found[f]))) << kernels->name << " " << i;
        } else {
          EXPECT_EQ(found[f], float_to_bf16(values[f])) << kernels->name << " " << i;
        }
      }
    }
  }
}

TEST(CpuQuantize, EmptyAndMisfitting) {
  const auto backend = make_cpu_backend(1);
  const float scales[] = {1, 1};
  TestMatrix none(DType::bf16, 0, 5), nothing(DType::e4m3, 0, 5);
  backend->quantize(none, {scales, 1}, nothing);
  const TestMatrix x = random_bf16(3, 5, 1);
  TestMatrix wrong(DType::bf16, 3, 5), out(DType::e4m3, 3, 5);
  EXPECT_EQ(shape_error([&] {
              backend->quantize(x, {scales, 1}, wrong);
            }),
            "quantize: out: expected [3, 5] e4m3 or e5m2, found [3, 5] bf16");
  EXPECT_EQ(shape_error([&] {
              backend->quantize(x, {scales, 2}, out);
            }),
            "quantize: scale: expected 1 or 3 scales, found 2");
  EXPECT_EQ(shape_error([&] { backend->quantize_rows(random_bf16(3, 4, 1), out, nullptr); }),
            "quantize_rows: out: expected [3, 4] e4m3 or e5m2, found [3, 5] e4m3");
}

}  // namespace
}  // namespace fp8cal
