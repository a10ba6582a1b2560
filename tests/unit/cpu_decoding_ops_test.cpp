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
  EXPECT_EQ(error(random_bf16(kFewRows, 8, 2), weight, {}), "nothing thrown");
  EXPECT_EQ(error(random_bf16(0, 8, 2), codes, {&one, 1}), "nothing thrown");
  EXPECT_EQ(error(random_bf16(kFewRows + 1, 8, 2), weight, {}),
            "multiply_few: rows of x: expected at most " + std::to_string(kFewRows) + ", found " +
                std::to_string(kFewRows + 1));
  EXPECT_THAT(error(random_bf16(2, 7, 2), codes, {&one, 1}),
              testing::HasSubstr("weight: expected [4, 7] e4m3"));
  EXPECT_THAT(error(random_bf16(2, 8, 2), codes, {}), testing::HasSubstr("weight_scale"));
  EXPECT_THAT(error(TestMatrix(DType::e5m2, 2, 8), codes, {&one, 1}),
              testing::HasSubstr("x: expected [2, 8] e4m3"));
  EXPECT_THAT(error(random_bf16(2, 8, 2), TestMatrix(DType::e5m2, 4, 8), {&one, 1}),
              testing::HasSubstr("weight: expected [4, 8] e4m3"));
}

/// How the rows that a call computes are quantized.
enum class Cast : std::uint8_t { none, by_tensor, by_row };

constexpr Cast kCasts[] = {Cast::none, Cast::by_tensor, Cast::by_row};
const float kCastScale = 0.37f;

/// Where a call leaves codes, and their scales.
struct Codes {
  Codes(Cast kind, Matrix matrix) : cast(kind), codes(matrix), row_scales(matrix.rows) {}

  QuantizedRows into() {
    if (cast == Cast::none) return {};
    if (cast == Cast::by_tensor) return {codes, {&kCastScale, 1}};
    return {codes, {}, row_scales.data()};
  }
  /// By a call of its own.
  void quantize(Backend& backend, ConstMatrix x) {
    if (cast == Cast::by_tensor) backend.quantize(x, {&kCastScale, 1}, codes);
    if (cast == Cast::by_row) backend.quantize_rows(x, codes, row_scales.data());
  }

  Cast cast;
  Matrix codes;
  std::vector<float> row_scales;
};

void expect_same_rows(ConstMatrix a, ConstMatrix b, const std::string& what) {
  ASSERT_EQ(a.rows, b.rows);
  for (std::size_t r = 0; r < a.rows; ++r) {
    const std::size_t bytes = a.cols * size_of(a.dtype);
    EXPECT_EQ(std::memcmp(a.row_range(r, 1).data, b.row_range(r, 1).data, bytes), 0)
        << what << ", row " << r;
  }
}

/// x and the weight in FP8 by row, one weight for gate and up.
struct GatedOperands {
  static constexpr std::size_t kRows = 5, kWidth = 40, kInner = 96;

  explicit GatedOperands(Backend& backend) {
    backend.quantize_rows(random_bf16(kRows, kInner, 1), x, x_scale.data());
    backend.quantize_rows(random_bf16(2 * kWidth, kInner, 2), weight, weight_scale.data());
  }
  Scales of_x() const { return {x_scale.data(), kRows}; }
  Scales of_weight() const { return {weight_scale.data(), 2 * kWidth}; }

  TestMatrix x{DType::e4m3, kRows, kInner}, weight{DType::e4m3, 2 * kWidth, kInner};
  std::vector<float> x_scale = std::vector<float>(kRows);
  std::vector<float> weight_scale = std::vector<float>(2 * kWidth);
};

TEST(CpuMultiplyFewSilu, HasTheBitsOfSingleCalls) {
  constexpr std::size_t kRows = GatedOperands::kRows, kWidth = GatedOperands::kWidth;
  for (const auto& [name, backend] : all_cpu_backends()) {
    const GatedOperands a(*backend);
    TestMatrix expected_products(DType::bf16, kRows, 2 * kWidth);
    TestMatrix expected(DType::bf16, kRows, kWidth);
    backend->multiply_few(a.x, a.of_x(), a.weight, a.of_weight(), expected_products);
    backend->silu_multiply(expected_products.view().column_range(0, kWidth),
                           expected_products.view().column_range(kWidth, kWidth), expected);
    for (const Cast cast : kCasts) {
      TestMatrix products(DType::bf16, kRows, 2 * kWidth), out(DType::bf16, kRows, kWidth);
      TestMatrix alone(DType::e4m3, kRows, kWidth);
      // In the memory of the products, as the contract allows.
      Codes codes(cast, Matrix::dense(products.view().data, DType::e4m3, kRows, kWidth));
      Codes expected_codes(cast, alone);
      backend->multiply_few_silu(a.x, a.of_x(), a.weight, a.of_weight(), products, out,
                                 codes.into());
      expected_codes.quantize(*backend, expected);
      EXPECT_TRUE(out == expected) << name;
      if (cast == Cast::none) {
        EXPECT_TRUE(products == expected_products) << name;
        continue;
      }
      expect_same_rows(codes.codes, alone, name);
      EXPECT_EQ(codes.row_scales, expected_codes.row_scales) << name;
    }
  }
}

TEST(CpuQuantizeMultiplyFew, HasTheBitsOfSingleCalls) {
  constexpr std::size_t kRows = GatedOperands::kRows, kInner = GatedOperands::kInner;
  constexpr std::size_t kColumns = 2 * GatedOperands::kWidth;
  for (const auto& [name, backend] : all_cpu_backends()) {
    const GatedOperands a(*backend);
    const TestMatrix x = random_bf16(kRows, kInner, 5);
    for (const Cast cast : kCasts) {
      if (cast == Cast::none) continue;
      TestMatrix out(DType::bf16, kRows, kColumns), expected(DType::bf16, kRows, kColumns);
      TestMatrix memory(DType::e4m3, kRows, kInner), expected_memory(DType::e4m3, kRows, kInner);
      Codes codes(cast, memory), expected_codes(cast, expected_memory);
      expected_codes.quantize(*backend, x);
      const QuantizedRows expected_into = expected_codes.into();
      backend->multiply_few(expected_into.codes, expected_into.scales(), a.weight, a.of_weight(),
                            expected);
      backend->quantize_multiply_few(x, codes.into(), a.weight, a.of_weight(), out);
      EXPECT_TRUE(out == expected) << name;
    }
  }
}

TEST(CpuMultiplyFewSilu, Misfits) {
  const auto backend = make_cpu_backend(1);
  const TestMatrix x = random_bf16(3, 8, 1);
  const auto error = [&](std::size_t weight_rows, const TestMatrix& products, std::size_t width) {
    TestMatrix out(DType::bf16, 3, width);
    return shape_error([&] {
      backend->multiply_few_silu(x, {}, random_bf16(weight_rows, 8, 2), {}, products, out, {});
    });
  };
  const auto bf16 = [](std::size_t rows, std::size_t cols) {
    return TestMatrix(DType::bf16, rows, cols);
  };
  EXPECT_EQ(error(6, bf16(3, 6), 3), "nothing thrown");
  EXPECT_EQ(error(0, bf16(3, 0), 0), "nothing thrown");
  EXPECT_EQ(error(7, bf16(3, 7), 3),
            "multiply_few_silu: rows of weight: expected a multiple of 2, found 7");
  EXPECT_EQ(error(6, bf16(3, 3), 3),
            "multiply_few_silu: products: expected [3, 6] bf16, found [3, 3] bf16");
  EXPECT_THAT(error(6, bf16(2, 6), 3), testing::HasSubstr("products: expected [3, 6] bf16"));
  EXPECT_THAT(error(6, TestMatrix(DType::e4m3, 3, 6), 3), testing::HasSubstr("found [3, 6] e4m3"));
  EXPECT_THAT(error(6, bf16(3, 6), 4), testing::HasSubstr("silu_multiply: out"));
}

/// Three sequences with room for 9 tokens; four query heads of 16, two of keys and values.
struct StepOperands {
  TestMatrix q = random_bf16(3, 64, 1), k = random_bf16(3, 32, 2), v = random_bf16(3, 32, 3);
  TestMatrix cosine = random_bf16(9, 8, 4), sine = random_bf16(9, 8, 5);
  TestMatrix keys = random_bf16(27, 32, 6), values = random_bf16(27, 32, 7);
  std::uint32_t positions[3] = {0, 4, 8};

  KvCache cache() { return {keys, values, 9, {}, {}}; }
  void append(Backend& backend) {
    backend.rope_append(q, k, v, 16, cosine, sine, positions, cache());
  }
  void decode(Backend& backend, Matrix out, const QuantizedRows& into) {
    backend.decode_attention(q, k, v, 16, cosine, sine, positions, cache(), out, into);
  }
};

TEST(CpuDecodeAttention, HasTheBitsOfSingleCalls) {
  for (const auto& [name, backend] : all_cpu_backends()) {
    StepOperands alone;
    TestMatrix expected(DType::bf16, 3, 64, 3);
    alone.append(*backend);
    backend->cached_attention(alone.q, alone.cache(), alone.positions, 16, expected);
    for (const Cast cast : kCasts) {
      StepOperands step;
      TestMatrix out(DType::bf16, 3, 64, 3);
      TestMatrix at_once(DType::e4m3, 3, 64, 5), afterwards(DType::e4m3, 3, 64, 5);
      Codes codes(cast, at_once), expected_codes(cast, afterwards);
      step.decode(*backend, out, codes.into());
      expected_codes.quantize(*backend, expected);
      EXPECT_TRUE(out == expected) << name;
      EXPECT_TRUE(step.keys == alone.keys) << name;
      EXPECT_TRUE(step.values == alone.values) << name;
      EXPECT_TRUE(at_once == afterwards) << name;
      EXPECT_EQ(codes.row_scales, expected_codes.row_scales) << name;
    }
  }
}

TEST(CpuDecodeAttention, Misfits) {
  const auto backend = make_cpu_backend(1);
  const auto error = [&](std::size_t out_cols, std::size_t code_rows, std::uint32_t position) {
    StepOperands step;
    step.positions[1] = position;
    TestMatrix out(DType::bf16, 3, out_cols), codes(DType::e4m3, code_rows, 64);
    return shape_error([&] { step.decode(*backend, out, {codes, {&kCastScale, 1}}); });
  };
  EXPECT_EQ(error(64, 3, 4), "nothing thrown");
  EXPECT_THAT(error(48, 3, 4), testing::HasSubstr("cached_attention: out: expected [3, 64]"));
  EXPECT_THAT(error(64, 2, 4), testing::HasSubstr("quantize: out: expected [3, 64]"));
  EXPECT_THAT(error(64, 3, 9), testing::HasSubstr("positions: expected at most 9, found 10"));
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
