#include <gtest/gtest.h>

#include <cmath>

#include "cpu_test_support.hpp"

namespace fp8cal {
namespace {

struct Shape {
  std::size_t sequences, length, q_heads, kv_heads, head_dim;
};

// Around the tiles, one head dimension and several lengths beyond a step of 512.
const Shape kShapes[] = {{1, 1, 1, 1, 2},   {3, 2, 2, 1, 4},    {2, 13, 4, 2, 6},
                         {1, 15, 3, 3, 64}, {2, 33, 6, 2, 34},  {1, 65, 8, 2, 128},
                         {1, 7, 1, 1, 600}, {1, 530, 2, 1, 16}, {1, 1040, 1, 1, 8}};

TestMatrix rows_of(const TestMatrix& x, std::size_t first, std::size_t count) {
  TestMatrix part(DType::bf16, count, x.view().cols);
  for (std::size_t r = 0; r < count; ++r) {
    std::memcpy(&part.bits(r, 0), x.view().row<bf16_bits>(first + r), 2 * x.view().cols);
  }
  return part;
}

/// One element of the output, in double.
double attend(const TestMatrix& q, const TestMatrix& k, const TestMatrix& v, const Shape& shape,
              std::size_t row, std::size_t head, std::size_t d) {
  const std::size_t start = row / shape.length * shape.length;
  const std::size_t q_column = head * shape.head_dim;
  const std::size_t kv_column = head / (shape.q_heads / shape.kv_heads) * shape.head_dim;
  std::vector<double> scores;
  double maximum = -INFINITY;
  for (std::size_t key = start; key <= row; ++key) {
    double dot = 0;
    for (std::size_t i = 0; i < shape.head_dim; ++i) {
      dot += static_cast<double>(q.value(row, q_column + i)) * k.value(key, kv_column + i);
    }
    scores.push_back(dot / std::sqrt(static_cast<double>(shape.head_dim)));
    maximum = std::max(maximum, scores.back());
  }
  double sum = 0, out = 0;
  for (double& score : scores) sum += score = std::exp(score - maximum);
  for (std::size_t i = 0; i < scores.size(); ++i) {
    out += scores[i] / sum * v.value(start + i, kv_column + d);
  }
  return out;
}

TEST(CpuAttention, AgreesWithDouble) {
  const auto backend = make_cpu_backend(1);
  for (const Shape& shape : kShapes) {
    const std::size_t tokens = shape.sequences * shape.length;
    const std::size_t q_cols = shape.q_heads * shape.head_dim;
    const std::size_t kv_cols = shape.kv_heads * shape.head_dim;
    const TestMatrix q = random_bf16(tokens, q_cols, 1, 3);
    const TestMatrix k = random_bf16(tokens, kv_cols, 2, 1);
    const TestMatrix v = random_bf16(tokens, kv_cols, 3, 5);
    TestMatrix out(DType::bf16, tokens, q_cols, 2);
    backend->attention(q, k, v, shape.head_dim, shape.length, out);
    const std::size_t step = tokens > 100 ? 37 : 1;
    for (std::size_t row = 0; row < tokens; row += step) {
      for (std::size_t c = 0; c < q_cols; ++c) {
        const double exact = attend(q, k, v, shape, row, c / shape.head_dim, c % shape.head_dim);
        // Each probability is rounded by up to 2^-9 of itself, and so is the result.
        const double tolerance = 0.004 * (std::fabs(exact) + 2.0);
        ASSERT_TRUE(std::fabs(out.value(row, c) - exact) <= tolerance)
            << "length " << shape.length << " row " << row << " column " << c << ": "
            << out.value(row, c) << " " << exact;
      }
    }
    EXPECT_EQ(out.view().row<std::uint8_t>(0)[2 * q_cols], kPoison);
  }
}

TEST(CpuAttention, SameBitsOnEveryInstructionSetAndThreadCount) {
  for (const Shape& shape : kShapes) {
    const std::size_t tokens = shape.sequences * shape.length;
    const std::size_t q_cols = shape.q_heads * shape.head_dim;
    const TestMatrix q = random_bf16(tokens, q_cols, 1);
    const TestMatrix k = random_bf16(tokens, shape.kv_heads * shape.head_dim, 2);
    const TestMatrix v = random_bf16(tokens, shape.kv_heads * shape.head_dim, 3);
    TestMatrix expected(DType::bf16, tokens, q_cols);
    make_cpu_backend(1)->attention(q, k, v, shape.head_dim, shape.length, expected);
    for (const auto& [name, backend] : all_cpu_backends()) {
      TestMatrix out(DType::bf16, tokens, q_cols);
      backend->attention(q, k, v, shape.head_dim, shape.length, out);
      EXPECT_TRUE(out == expected) << name << ", length " << shape.length;
    }
  }
}

TEST(CpuAttention, SequencesAreIndependentOfTheirBatch) {
  const std::size_t length = 67, head_dim = 32, cols = 4 * head_dim;
  const auto backend = make_cpu_backend(2);
  const TestMatrix q = random_bf16(2 * length, cols, 1);
  const TestMatrix k = random_bf16(2 * length, cols, 2);
  const TestMatrix v = random_bf16(2 * length, cols, 3);
  TestMatrix both(DType::bf16, 2 * length, cols);
  backend->attention(q, k, v, head_dim, length, both);
  for (const std::size_t first : {std::size_t{0}, length}) {
    TestMatrix alone(DType::bf16, length, cols);
    backend->attention(rows_of(q, first, length), rows_of(k, first, length),
                       rows_of(v, first, length), head_dim, length, alone);
    const TestMatrix together = rows_of(both, first, length);
    for (std::size_t r = 0; r < length; ++r) {
      EXPECT_EQ(std::memcmp(&alone.bits(r, 0), together.view().row<bf16_bits>(r), 2 * cols), 0);
    }
  }
}

TEST(CpuAttention, LaterTokensDoNotMatter) {
  const std::size_t length = 40, head_dim = 16;
  const auto backend = make_cpu_backend(1);
  const TestMatrix q = random_bf16(length, head_dim, 1);
  TestMatrix k = random_bf16(length, head_dim, 2);
  TestMatrix v = random_bf16(length, head_dim, 3);
  TestMatrix before(DType::bf16, length, head_dim);
  backend->attention(q, k, v, head_dim, length, before);
  for (std::size_t c = 0; c < head_dim; ++c) {
    k.bits(20, c) = float_to_bf16(9.0f);
    v.bits(20, c) = float_to_bf16(-7.0f);
  }
  TestMatrix after(DType::bf16, length, head_dim);
  backend->attention(q, k, v, head_dim, length, after);
  EXPECT_EQ(std::memcmp(&before.bits(0, 0), &after.bits(0, 0), 2 * 20 * head_dim), 0);
  EXPECT_NE(std::memcmp(&before.bits(20, 0), &after.bits(20, 0), 2 * head_dim), 0);
}

TEST(CpuAttention, HandChecked) {
  // The second query scores 0 and 1.5546875 / sqrt(2) = 1.0993, close to log 3: its probabilities
  // round to 1/4 and 3/4.
  const TestMatrix q = bf16_matrix({{1, 0}, {1, 0}});
  const TestMatrix k = bf16_matrix({{0, 5}, {1.5546875f, 0}});
  const TestMatrix v = bf16_matrix({{8, 1}, {16, -1}});
  TestMatrix out(DType::bf16, 2, 2);
  make_cpu_backend(1)->attention(q, k, v, 2, 2, out);
  EXPECT_EQ(out.value(0, 0), 8.0f);
  EXPECT_EQ(out.value(0, 1), 1.0f);
  EXPECT_EQ(out.value(1, 0), 14.0f);
  EXPECT_EQ(out.value(1, 1), -0.5f);
}

TEST(CpuAttention, EmptyAndMisfitting) {
  const auto backend = make_cpu_backend(1);
  TestMatrix none(DType::bf16, 0, 8);
  backend->attention(none, none, none, 4, 16, none);
  TestMatrix x = random_bf16(6, 8, 1);
  EXPECT_EQ(shape_error([&] { backend->attention(x, x, x, 4, 4, x); }),
            "attention: rows: expected a multiple of 4, found 6");
  EXPECT_EQ(shape_error([&] { backend->attention(x, x, x, 3, 6, x); }),
            "attention: columns of q: expected a multiple of 3, found 8");
  TestMatrix narrow = random_bf16(6, 4, 1);
  EXPECT_EQ(shape_error([&] { backend->attention(x, narrow, x, 4, 6, x); }),
            "attention: v: expected [6, 4] bf16, found [6, 8] bf16");
}

}  // namespace
}  // namespace fp8cal
