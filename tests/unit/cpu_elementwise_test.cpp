#include <gtest/gtest.h>

#include <cmath>

#include "cpu_test_support.hpp"

namespace fp8cal {
namespace {

struct Size {
  std::size_t rows, cols;
};

const Size kSizes[] = {{0, 8}, {1, 1}, {3, 7}, {2, 16}, {5, 17}, {33, 1030}, {300, 4096}};

TestMatrix copy_of(const TestMatrix& matrix) { return matrix; }

TEST(CpuAdd, RoundsTheSum) {
  for (const auto& [name, backend] : all_cpu_backends()) {
    for (const auto [rows, cols] : kSizes) {
      const TestMatrix before = random_bf16(rows, cols, 1, 3);
      const TestMatrix delta = random_bf16(rows, cols, 2, 1);
      TestMatrix expected = copy_of(before);
      for (std::size_t r = 0; r < rows; ++r) {
        for (std::size_t c = 0; c < cols; ++c) {
          expected.bits(r, c) = float_to_bf16(before.value(r, c) + delta.value(r, c));
        }
      }
      TestMatrix residual = copy_of(before);
      backend->add(residual, delta);
      EXPECT_TRUE(residual == expected) << name << " " << rows << " x " << cols;
    }
  }
}

TEST(CpuAdd, TakesColumnsInParts) {
  const TestMatrix delta = bf16_matrix({{1, 2}, {5, 6}, {3, 4}, {7, 8}});  // two parts of two rows
  TestMatrix residual = bf16_matrix({{10, 20, 30, 40}, {50, 60, 70, 80}});
  make_cpu_backend(1)->add(residual, delta);
  EXPECT_TRUE(residual == bf16_matrix({{11, 22, 33, 44}, {55, 66, 77, 88}}));
}

TEST(CpuAdd, OfPartsEqualsInterleavingFirst) {
  for (const auto& [name, backend] : all_cpu_backends()) {
    for (const std::size_t parts : {1, 2, 3, 8}) {
      for (const std::size_t width : {1, 7, 16, 130}) {
        const std::size_t rows = 5, cols = parts * width;
        const TestMatrix gathered = random_bf16(parts * rows, width, 1);
        const TestMatrix before = random_bf16(rows, cols, 2, 3), weight = random_bf16(1, cols, 3);
        TestMatrix delta(DType::bf16, rows, cols, 1);
        backend->interleave_columns(gathered.view().data, parts, delta);
        TestMatrix expected = copy_of(before), found = copy_of(before);
        backend->add(expected, delta);
        backend->add(found, gathered);
        EXPECT_TRUE(found == expected) << name << " " << parts << " parts of " << width;
        TestMatrix expected_norm(DType::bf16, rows, cols), found_norm(DType::bf16, rows, cols);
        backend->add_rms_norm(expected, delta, weight, 1e-5f, expected_norm);
        backend->add_rms_norm(found, gathered, weight, 1e-5f, found_norm);
        EXPECT_TRUE(found == expected) << name << " " << parts << " parts of " << width;
        EXPECT_TRUE(found_norm == expected_norm) << name << " " << parts << " parts of " << width;
      }
    }
  }
}

TEST(CpuRmsNorm, HandChecked) {
  // The sums are 3 and 4 (bf16 has no 4.01), whose mean square is 12.5; 3 / 3.5355 = 0.84853 and
  // 4 / 3.5355 = 1.13137 round to 0.84765625 and 1.1328125.
  TestMatrix residual = bf16_matrix({{1, 4}});
  const TestMatrix delta = bf16_matrix({{2, 0.01f}});
  const TestMatrix weight = bf16_matrix({{2, -1}});
  TestMatrix out(DType::bf16, 1, 2);
  make_cpu_backend(1)->add_rms_norm(residual, delta, weight, 0.0f, out);
  EXPECT_EQ(residual.value(0, 0), 3.0f);
  EXPECT_EQ(residual.value(0, 1), 4.0f);
  EXPECT_EQ(out.value(0, 0), 2 * 0.84765625f);
  EXPECT_EQ(out.value(0, 1), -1.1328125f);
}

TEST(CpuRmsNorm, AgreesWithDoubleAndHasTheSameBitsEverywhere) {
  const float epsilon = 1e-5f;
  for (const auto [rows, cols] : kSizes) {
    const TestMatrix before = random_bf16(rows, cols, 1, 3);
    const TestMatrix weight = random_bf16(1, cols, 2);
    TestMatrix first(DType::bf16, rows, cols, 2);
    TestMatrix residual = copy_of(before);
    make_cpu_backend(1)->add_rms_norm(residual, {}, weight, epsilon, first);
    EXPECT_TRUE(residual == before);
    for (std::size_t r = 0; r < rows; ++r) {
      double squares = 0;
      for (std::size_t c = 0; c < cols; ++c) squares += std::pow(before.value(r, c), 2.0);
      const double rms = std::sqrt(squares / cols + epsilon);
      for (std::size_t c = 0; c < cols; ++c) {
        const double exact = before.value(r, c) / rms * weight.value(0, c);
        ASSERT_TRUE(std::fabs(first.value(r, c) - exact) <= 0.008 * std::fabs(exact));
      }
    }
    for (const auto& [name, backend] : all_cpu_backends()) {
      TestMatrix out(DType::bf16, rows, cols, 2);
      backend->add_rms_norm(residual, {}, weight, epsilon, out);
      EXPECT_TRUE(out == first) << name << " " << rows << " x " << cols;
    }
  }
}

TEST(CpuRope, RoundsEachProductAndTheSum) {
  const std::size_t positions = 3;
  for (const auto& [name, backend] : all_cpu_backends()) {
    for (const std::size_t half : {1, 5, 16, 64}) {
      const std::size_t heads = 3, rows = 7;
      const TestMatrix before = random_bf16(rows, heads * 2 * half, 1, 3);
      const TestMatrix cosine = random_bf16(positions, half, 2, 1, 0.5f);
      const TestMatrix sine = random_bf16(positions, half, 3, 0, 0.5f);
      TestMatrix expected = copy_of(before);
      for (std::size_t r = 0; r < rows; ++r) {
        for (std::size_t h = 0; h < heads; ++h) {
          for (std::size_t i = 0; i < half; ++i) {
            const std::size_t low = h * 2 * half + i, high = low + half;
            const float c = cosine.value(r % positions, i), s = sine.value(r % positions, i);
            const float a = before.value(r, low), b = before.value(r, high);
            expected.bits(r, low) = float_to_bf16(round_to_bf16(a * c) + round_to_bf16(-b * s));
            expected.bits(r, high) = float_to_bf16(round_to_bf16(b * c) + round_to_bf16(a * s));
          }
        }
      }
      TestMatrix x = copy_of(before);
      backend->rope(x, 2 * half, cosine, sine);
      EXPECT_TRUE(x == expected) << name << " " << half;
    }
  }
}

TEST(CpuRope, QuarterTurn) {
  TestMatrix x = bf16_matrix({{1, 2, 3, 4}, {1, 2, 3, 4}});
  const TestMatrix cosine = bf16_matrix({{1, 1}, {0, 0}});
  const TestMatrix sine = bf16_matrix({{0, 0}, {1, 1}});
  make_cpu_backend(1)->rope(x, 4, cosine, sine);
  EXPECT_TRUE(x == bf16_matrix({{1, 2, 3, 4}, {-3, -4, 1, 2}}));
}

TEST(CpuSiluMultiply, EveryGateAgreesWithDoubleAndHasTheSameBitsEverywhere) {
  TestMatrix gate(DType::bf16, 256, 256, 1);
  for (int bits = 0; bits < 0x10000; ++bits) gate.bits(bits / 256, bits % 256) = bits;
  const TestMatrix up = random_bf16(256, 256, 1);
  TestMatrix ones(DType::bf16, 256, 256);
  for (int i = 0; i < 0x10000; ++i) ones.bits(i / 256, i % 256) = float_to_bf16(1.0f);
  TestMatrix silu(DType::bf16, 256, 256), expected(DType::bf16, 256, 256);
  make_cpu_backend(1)->silu_multiply(gate, ones, silu);
  for (std::size_t r = 0; r < 256; ++r) {
    for (std::size_t c = 0; c < 256; ++c) {
      const double x = gate.value(r, c);
      expected.bits(r, c) = float_to_bf16(silu.value(r, c) * up.value(r, c));
      // Below, exp(-x) overflows a float and the result flushes to zero.
      if (!std::isfinite(x) || x < -88) continue;
      const double exact = x / (1 + std::exp(-x));
      ASSERT_TRUE(std::fabs(silu.value(r, c) - exact) <= 0.004 * std::fabs(exact) + 1e-40) << x;
    }
  }
  for (const auto& [name, backend] : all_cpu_backends()) {
    TestMatrix out(DType::bf16, 256, 256);
    backend->silu_multiply(gate, up, out);
    for (std::size_t r = 0; r < 256; ++r) {
      for (std::size_t c = 0; c < 256; ++c) {
        if (std::isnan(expected.value(r, c))) {
          ASSERT_TRUE(std::isnan(out.value(r, c)));
        } else {
          ASSERT_EQ(out.bits(r, c), expected.bits(r, c)) << name << " " << gate.value(r, c);
        }
      }
    }
  }
}

TEST(CpuEmbed, TakesRowsAndZeroesIdsOfOtherSlices) {
  const TestMatrix table = bf16_matrix({{1, 2, 3}, {4, 5, 6}});
  const std::uint32_t ids[] = {11, 9, 10, 12, 0, 0xFFFFFFFFu};
  for (const auto& [name, backend] : all_cpu_backends()) {
    TestMatrix out(DType::bf16, 6, 3, 2);
    backend->embed(ids, table, 10, out);
    for (std::size_t c = 0; c < 3; ++c) {
      EXPECT_EQ(out.value(0, c), table.value(1, c));
      EXPECT_EQ(out.value(2, c), table.value(0, c));
      for (const std::size_t r : {1, 3, 4, 5}) EXPECT_EQ(out.bits(r, c), 0);
    }
    EXPECT_EQ(out.bits(0, 3), kPoison << 8 | kPoison);
  }
}

TEST(CpuInterleaveColumns, PutsPiecesInTheirPlaces) {
  const auto backend = make_cpu_backend(1);
  const float gathered[] = {1, 2, 3, 4, 5, 6, 7, 8};  // [2 parts][2 rows][2]
  TestMatrix out(DType::f32, 2, 4, 1);
  backend->interleave_columns(gathered, 2, out);
  const float expected[2][4] = {{1, 2, 5, 6}, {3, 4, 7, 8}};
  for (std::size_t r = 0; r < 2; ++r) {
    for (std::size_t c = 0; c < 4; ++c) EXPECT_EQ(out.value(r, c), expected[r][c]);
  }
  const std::uint8_t codes[] = {1, 2, 3, 4, 5, 6};
  TestMatrix bytes(DType::e4m3, 2, 3, 1);
  backend->interleave_columns(codes, 3, bytes);
  const std::uint8_t expected_codes[2][3] = {{1, 3, 5}, {2, 4, 6}};
  for (std::size_t r = 0; r < 2; ++r) {
    for (std::size_t c = 0; c < 3; ++c) EXPECT_EQ(bytes.code(r, c), expected_codes[r][c]);
    EXPECT_EQ(bytes.code(0, 3), kPoison);
  }
  EXPECT_EQ(shape_error([&] { backend->interleave_columns(codes, 2, bytes); }),
            "interleave_columns: columns of out: expected a multiple of 2, found 3");
}

TEST(CpuElementwise, RejectsShapesThatDoNotFit) {
  const auto backend = make_cpu_backend(1);
  TestMatrix x = random_bf16(4, 8, 1), other = random_bf16(4, 7, 1);
  EXPECT_EQ(shape_error([&] { backend->add(x, other); }),
            "add: delta: expected [4, 8] bf16, found [4, 7] bf16");
  TestMatrix halves = random_bf16(7, 4, 1);
  EXPECT_EQ(shape_error([&] { backend->add_rms_norm(x, halves, x, 1e-5f, x); }),
            "add_rms_norm: delta: expected [8, 4] bf16, found [7, 4] bf16");
  EXPECT_EQ(shape_error([&] { backend->add_rms_norm(x, {}, x, 1e-5f, x); }),
            "add_rms_norm: weight: expected [1, 8] bf16, found [4, 8] bf16");
  EXPECT_EQ(shape_error([&] { backend->silu_multiply(x, other, x); }),
            "silu_multiply: up: expected [4, 8] bf16, found [4, 7] bf16");
  EXPECT_EQ(shape_error([&] { backend->rope(x, 8, other, other); }),
            "rope: cosine: expected [4, 4] bf16, found [4, 7] bf16");
  EXPECT_EQ(shape_error([&] { backend->rope(other, 7, x, x); }),
            "rope: head_dim: expected a multiple of 2, found 7");
}

}  // namespace
}  // namespace fp8cal
