#include <gtest/gtest.h>

#include <cmath>

#include "cpu_test_support.hpp"

namespace fp8cal {
namespace {

struct Size {
  std::size_t rows, columns, depth;
};

// Around the tiles (14 x 32, 6 x 16, 6 x 8), the blocks (1008 x 256) and the steps of k (512).
const Size kSizes[] = {{0, 5, 3},      {5, 0, 3},     {3, 5, 0},     {1, 1, 1},     {1, 1, 7},
                       {2, 3, 31},     {7, 33, 65},   {14, 32, 32},  {15, 31, 511}, {13, 257, 513},
                       {29, 64, 1030}, {1, 300, 520}, {1010, 40, 33}};

/// Sums in f32 over k in order, the product exact.
float dot(const TestMatrix& x, std::size_t m, const TestMatrix& weight, std::size_t n) {
  float sum = 0.0f;
  for (std::size_t k = 0; k < x.view().cols; ++k) {
    sum = std::fma(x.value(m, k), weight.value(n, k), sum);
  }
  return sum;
}

TestMatrix random_fp8(DType dtype, std::size_t rows, std::size_t cols, unsigned seed,
                      std::size_t gap) {
  std::mt19937 generator(seed);
  TestMatrix matrix(dtype, rows, cols, gap);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < cols; ++c) {
      do {
        matrix.code(r, c) = static_cast<std::uint8_t>(generator());
      } while (!std::isfinite(matrix.value(r, c)));
    }
  }
  return matrix;
}

TestMatrix naive_product(const TestMatrix& x, const TestMatrix& weight, std::size_t gap) {
  TestMatrix out(DType::bf16, x.view().rows, weight.view().rows, gap);
  for (std::size_t m = 0; m < out.view().rows; ++m) {
    for (std::size_t n = 0; n < out.view().cols; ++n) {
      out.bits(m, n) = float_to_bf16(dot(x, m, weight, n));
    }
  }
  return out;
}

TEST(CpuMultiply, EqualsTheNaiveSumBitForBit) {
  const auto backends = all_cpu_backends();
  for (const auto [rows, columns, depth] : kSizes) {
    const TestMatrix x = random_bf16(rows, depth, 1, 3);
    const TestMatrix weight = random_bf16(columns, depth, 2, 5);
    const TestMatrix expected = naive_product(x, weight, 7);
    for (const auto& [name, backend] : backends) {
      TestMatrix out(DType::bf16, rows, columns, 7);
      backend->multiply(x, weight, out);
      EXPECT_TRUE(out == expected) << name << ": " << rows << " x " << columns << " x " << depth;
    }
  }
}

TEST(CpuMultiply, EqualsTheNaiveSumWhereProductsUnderflowOrOverflow) {
  const std::size_t depth = 64;
  std::mt19937 generator(3);
  std::uniform_int_distribution<int> fraction(-255, 255);
  for (const int exponent : {-75, -70, -66, 58, 60}) {
    TestMatrix x(DType::bf16, 15, depth);
    TestMatrix weight(DType::bf16, 33, depth);
    for (TestMatrix* matrix : {&x, &weight}) {
      for (std::size_t r = 0; r < matrix->view().rows; ++r) {
        for (std::size_t k = 0; k < depth; ++k) {
          const float value = std::ldexp(static_cast<float>(fraction(generator)), exponent - 4);
          matrix->bits(r, k) = float_to_bf16(value);
        }
      }
    }
    const TestMatrix expected = naive_product(x, weight, 0);
    for (const auto& [name, backend] : all_cpu_backends()) {
      TestMatrix out(DType::bf16, 15, 33);
      backend->multiply(x, weight, out);
      EXPECT_TRUE(out == expected) << name << ": 2^" << exponent;
    }
  }
}

TEST(CpuMultiply, HandChecked) {
  const TestMatrix x = bf16_matrix({{1, 2, 3}, {-1, 0.5f, 4}});
  const TestMatrix weight = bf16_matrix({{1, 1, 1}, {2, -4, 0.25f}});
  TestMatrix out(DType::bf16, 2, 2);
  make_cpu_backend(1)->multiply(x, weight, out);
  EXPECT_EQ(out.value(0, 0), 6.0f);
  EXPECT_EQ(out.value(0, 1), -5.25f);
  EXPECT_EQ(out.value(1, 0), 3.5f);
  EXPECT_EQ(out.value(1, 1), -3.0f);
}

TEST(CpuMultiply, SumsInF32OverKInOrder) {
  // 2^24 + 1 - 2^24: 0 in this order in f32, 1 in any wider or other one.
  const TestMatrix x = bf16_matrix({{4096, 1, -4096}});
  const TestMatrix weight = bf16_matrix({{4096, 1, 4096}});
  for (const auto& [name, backend] : all_cpu_backends()) {
    TestMatrix out(DType::bf16, 1, 1);
    backend->multiply(x, weight, out);
    EXPECT_EQ(out.value(0, 0), 0.0f) << name;
  }
}

TEST(CpuMultiply, SlicesOfRowsAndColumnsHaveTheSameBits) {
  const std::size_t rows = 61, columns = 300, depth = 700;
  const TestMatrix x = random_bf16(rows, depth, 4);
  const TestMatrix weight = random_bf16(columns, depth, 5);
  const auto backend = make_cpu_backend(2);
  TestMatrix whole(DType::bf16, rows, columns);
  backend->multiply(x, weight, whole);
  for (const std::size_t step : {1, 7, 16, 50}) {
    TestMatrix by_rows(DType::bf16, rows, columns);
    for (std::size_t r = 0; r < rows; r += step) {
      const std::size_t count = std::min(step, rows - r);
      backend->multiply(x.view().row_range(r, count), weight, by_rows.view().row_range(r, count));
    }
    EXPECT_TRUE(by_rows == whole) << step;
    TestMatrix by_columns(DType::bf16, rows, columns);
    for (std::size_t c = 0; c < columns; c += step) {
      const std::size_t count = std::min(step, columns - c);
      backend->multiply(x, weight.view().row_range(c, count),
                        by_columns.view().column_range(c, count));
    }
    EXPECT_TRUE(by_columns == whole) << step;
  }
}

TEST(CpuMultiply, LargeEnoughForEveryThread) {
  const TestMatrix x = random_bf16(600, 800, 6);
  const TestMatrix weight = random_bf16(1000, 800, 7);
  TestMatrix expected(DType::bf16, 600, 1000);
  make_cpu_backend(1)->multiply(x, weight, expected);
  for (const int threads : {2, 3, 8}) {
    TestMatrix out(DType::bf16, 600, 1000);
    make_cpu_backend(threads)->multiply(x, weight, out);
    EXPECT_TRUE(out == expected) << threads;
  }
}

class CpuMultiplyScaled : public testing::TestWithParam<std::tuple<DType, DType, bool, bool>> {};

TEST_P(CpuMultiplyScaled, EqualsTheNaiveSumBitForBit) {
  const auto [x_dtype, weight_dtype, scale_rows, scale_columns] = GetParam();
  const auto backends = all_cpu_backends();
  for (const auto [rows, columns, depth] : kSizes) {
    const TestMatrix x = random_fp8(x_dtype, rows, depth, 8, 3);
    const TestMatrix weight = random_fp8(weight_dtype, columns, depth, 9, 5);
    std::vector<float> x_scale(scale_rows ? rows : 1);
    std::vector<float> weight_scale(scale_columns ? columns : 1);
    for (std::size_t i = 0; i < x_scale.size(); ++i) x_scale[i] = 0.013f + 0.1f * i;
    for (std::size_t i = 0; i < weight_scale.size(); ++i) weight_scale[i] = 0.0077f + 0.3f * i;
    TestMatrix expected(DType::bf16, rows, columns, 2);
    for (std::size_t m = 0; m < rows; ++m) {
      for (std::size_t n = 0; n < columns; ++n) {
        const float scale = x_scale[scale_rows ? m : 0] * weight_scale[scale_columns ? n : 0];
        expected.bits(m, n) = float_to_bf16(dot(x, m, weight, n) * scale);
      }
    }
    for (const auto& [name, backend] : backends) {
      TestMatrix out(DType::bf16, rows, columns, 2);
      backend->multiply_scaled(x, {x_scale.data(), x_scale.size()}, weight,
                               {weight_scale.data(), weight_scale.size()}, out);
      EXPECT_TRUE(out == expected) << name << ": " << rows << " x " << columns << " x " << depth;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, CpuMultiplyScaled,
                         testing::Values(std::tuple{DType::e4m3, DType::e4m3, false, false},
                                         std::tuple{DType::e4m3, DType::e4m3, true, true},
                                         std::tuple{DType::e5m2, DType::e4m3, true, false},
                                         std::tuple{DType::e4m3, DType::e5m2, false, true}));

TEST(CpuMultiply, RejectsShapesThatDoNotFit) {
  const auto backend = make_cpu_backend(1);
  const TestMatrix x = random_bf16(4, 8, 1);
  TestMatrix out(DType::bf16, 4, 3);
  EXPECT_EQ(shape_error([&] { backend->multiply(x, random_bf16(3, 9, 1), out); }),
            "multiply: weight: expected [3, 8] bf16, found [3, 9] bf16");
  EXPECT_EQ(shape_error([&] { backend->multiply(x, random_bf16(5, 8, 1), out); }),
            "multiply: out: expected [4, 5] bf16, found [4, 3] bf16");
  Matrix overlapping = out;
  overlapping.stride = 2;
  EXPECT_EQ(shape_error([&] { backend->multiply(x, random_bf16(3, 8, 1), overlapping); }),
            "multiply: out: expected a stride of at least 3, found 2");
  const TestMatrix x8 = random_fp8(DType::e4m3, 4, 8, 1, 0);
  const TestMatrix weight8 = random_fp8(DType::e4m3, 3, 8, 1, 0);
  const float scales[4] = {1, 1, 1, 1};
  EXPECT_EQ(shape_error([&] {
              backend->multiply_scaled(x, {scales, 1}, weight8, {scales, 1}, out);
            }),
            "multiply_scaled: x: expected [4, 8] e4m3 or e5m2, found [4, 8] bf16");
  EXPECT_EQ(shape_error([&] {
              backend->multiply_scaled(x8, {scales, 3}, weight8, {scales, 1}, out);
            }),
            "multiply_scaled: x_scale: expected 1 or 4 scales, found 3");
}

}  // namespace
}  // namespace fp8cal
