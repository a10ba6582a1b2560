#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "cpu_test_support.hpp"

namespace fp8cal {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(CpuMultiplyFew, MultipliesBf16AsMultiplyDoes) {
  const TestMatrix x = random_bf16(3, 700, 1, 2), weight = random_bf16(41, 700, 2, 1);
  for (const auto& [name, backend] : all_cpu_backends()) {
    TestMatrix out(DType::bf16, 3, 41, 4), expected = out;
    backend->multiply(x, weight, expected);
    backend->multiply_few(x, {}, weight, {}, out);
    EXPECT_TRUE(out == expected) << name;
  }
}

TEST(CpuMultiplyFew, MultipliesFp8AsMultiplyScaledDoes) {
  const auto backend = make_cpu_backend(2);
  TestMatrix x(DType::e4m3, 5, 96), weight(DType::e4m3, 33, 96);
  std::vector<float> x_scale(5), weight_scale(33);
  backend->quantize_rows(random_bf16(5, 96, 1), x, x_scale.data());
  backend->quantize_rows(random_bf16(33, 96, 2), weight, weight_scale.data());
  for (const std::size_t count : {std::size_t{1}, std::size_t{33}}) {
    TestMatrix out(DType::bf16, 5, 33), expected = out;
    backend->multiply_scaled(x, {x_scale.data(), 5}, weight, {weight_scale.data(), count},
                             expected);
    backend->multiply_few(x, {x_scale.data(), 5}, weight, {weight_scale.data(), count}, out);
    EXPECT_TRUE(out == expected);
  }
}

TEST(CpuMultiplyFew, MultipliesBf16ByDequantizedCodes) {
  const std::size_t columns = 1100;  // beyond two steps of 512
  const TestMatrix x = random_bf16(4, columns, 1);
  std::vector<float> scales(35);
  TestMatrix codes(DType::e4m3, 35, columns), weight(DType::bf16, 35, columns);
  make_cpu_backend(1)->quantize_rows(random_bf16(35, columns, 2), codes, scales.data());
  for (const std::size_t count : {std::size_t{1}, std::size_t{35}}) {
    for (const auto& [name, backend] : all_cpu_backends()) {
      TestMatrix out(DType::bf16, 4, 35), expected = out;
      backend->dequantize(codes, {scales.data(), count}, weight);
      backend->multiply(x, weight, expected);
      backend->multiply_few(x, {}, codes, {scales.data(), count}, out);
      EXPECT_TRUE(out == expected) << name;
    }
  }
}

TEST(CpuMultiplyFew, Misfits) {
  const auto backend = make_cpu_backend(1);
  const float one = 1;
  const auto error = [&](const TestMatrix& x, const TestMatrix& weight, Scales scale) {
    TestMatrix out(DType::bf16, x.view().rows, weight.view().rows);
    return shape_error([&] { backend->multiply_few(x, scale, weight, scale, out); });
  };
  const TestMatrix weight = random_bf16(4, 8, 1);
  const TestMatrix codes(DType::e4m3, 4, 8);
  EXPECT_EQ(error(random_bf16(64, 8, 2), weight, {}), "nothing thrown");
  EXPECT_EQ(error(random_bf16(0, 8, 2), codes, {&one, 1}), "nothing thrown");
  EXPECT_EQ(error(random_bf16(65, 8, 2), weight, {}),
            "multiply_few: rows of x: expected at most 64, found 65");
  EXPECT_THAT(error(random_bf16(2, 7, 2), codes, {&one, 1}),
              testing::HasSubstr("weight: expected [4, 7] e4m3"));
  EXPECT_THAT(error(random_bf16(2, 8, 2), codes, {}), testing::HasSubstr("weight_scale"));
  EXPECT_THAT(error(TestMatrix(DType::e5m2, 2, 8), codes, {&one, 1}),
              testing::HasSubstr("x: expected [2, 8] e4m3"));
  EXPECT_THAT(error(random_bf16(2, 8, 2), TestMatrix(DType::e5m2, 4, 8), {&one, 1}),
              testing::HasSubstr("weight: expected [4, 8] e4m3"));
}

TEST(CpuTopTokens, FirstOfTheLargestWithoutNaNs) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const TestMatrix logits = bf16_matrix(
      {{1, 7, 7, -2}, {nan, -3, nan, -1}, {nan, nan, nan, nan}, {kInfinity, 0, 0, kInfinity}});
  TopToken tops[4];
  make_cpu_backend(2)->top_tokens(logits, 100, tops);
  EXPECT_EQ(tops[0].id, 101u);
  EXPECT_EQ(tops[0].logit, 7.0f);
  EXPECT_EQ(tops[1].id, 103u);
  EXPECT_EQ(tops[2].id, 100u);
  EXPECT_EQ(tops[2].logit, -kInfinity);
  EXPECT_EQ(tops[3].id, 100u);
}

TEST(CpuTopTokens, FindsTheLargestOfALongRow) {
  TestMatrix logits = random_bf16(1, 5000, 1, 0, 0.1f);
  logits.bits(0, 4321) = float_to_bf16(9.0f);
  logits.bits(0, 4700) = float_to_bf16(9.0f);
  TopToken top;
  make_cpu_backend(1)->top_tokens(logits, 0, &top);
  EXPECT_EQ(top.id, 4321u);
}

TEST(CpuNextTokens, TakesTheFirstOfTheLargestSlicesAndMovesOn) {
  // Two slices of three rows: the larger, the first of equals, nothing but NaNs.
  const TopToken tops[6] = {{1, 4}, {2, 5}, {-kInfinity, 0}, {3, 14}, {2, 15}, {-kInfinity, 10}};
  std::uint32_t ids[3] = {9, 9, 9}, positions[3] = {0, 7, 8};
  make_cpu_backend(1)->next_tokens(tops, 2, 3, ids, positions);
  EXPECT_THAT(ids, testing::ElementsAre(14, 5, 0));
  EXPECT_THAT(positions, testing::ElementsAre(1, 8, 9));
}

TEST(Recording, RepeatsItsCallsInOrder) {
  const auto backend = make_cpu_backend(1);
  TestMatrix sum = bf16_matrix({{1, 2}});
  const auto twice = backend->record([&] {
    backend->add(sum, sum);
    backend->add(sum, sum);
  });
  const float before = sum.value(0, 0);
  twice->replay();
  twice->replay();
  EXPECT_EQ(sum.value(0, 0), 16 * before);
}

}  // namespace
}  // namespace fp8cal
