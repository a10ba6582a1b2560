#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "gpu_test.hpp"
#include "tests/unit/cpu_test_support.hpp"

namespace fp8cal {
namespace {

struct Shape {
  std::size_t sequences, length, kv_heads, group, head_dim;

  std::size_t tokens() const { return sequences * length; }
  std::size_t q_cols() const { return kv_heads * group * head_dim; }
  std::size_t kv_cols() const { return kv_heads * head_dim; }
  std::size_t fused_cols() const { return q_cols() + 2 * kv_cols(); }
};

struct Fused {
  ConstMatrix q, k, v;
};

/// Column ranges of x [tokens, q + 2 kv], from `offset` on.
Fused split(const Shape& shape, const Matrix& x, std::size_t offset = 0) {
  const std::size_t q = shape.q_cols(), kv = shape.kv_cols();
  return {x.column_range(offset, q), x.column_range(offset + q, kv),
          x.column_range(offset + q + kv, kv)};
}

/// Normally distributed numbers, repeated after a million.
TestMatrix normal_bf16(std::size_t rows, std::size_t cols, unsigned seed, std::size_t gap) {
  constexpr std::size_t kPeriod = 1000003;
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0f, 1.5f);
  std::vector<bf16_bits> pool(std::min(kPeriod, rows * cols));
  for (bf16_bits& bits : pool) bits = float_to_bf16(normal(generator));
  TestMatrix matrix(DType::bf16, rows, cols, gap);
  std::size_t next = 0;
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < cols; ++c) matrix.bits(r, c) = pool[next++ % pool.size()];
  }
  return matrix;
}

TestMatrix attend(Backend& backend, const Shape& shape, const TestMatrix& fused, std::size_t offset,
                  std::size_t out_gap) {
  TestMatrix out(DType::bf16, shape.tokens(), shape.q_cols(), out_gap);
  const DeviceCopy x(backend, fused), y(backend, out);
  const Fused parts = split(shape, x.view(), offset);
  backend.attention(parts.q, parts.k, parts.v, shape.head_dim, shape.length, y.view());
  y.download(out);
  return out;
}

float value(const ConstMatrix& x, std::size_t row, std::size_t column) {
  return bf16_to_float(x.row<bf16_bits>(row)[column]);
}

/// One head of one row of the output, in double.
std::vector<double> exact_row(const Shape& shape, const Fused& x, std::size_t row,
                              std::size_t head) {
  const std::size_t start = row / shape.length * shape.length, d = shape.head_dim;
  const std::size_t kv_column = head / shape.group * d;
  std::vector<double> scores, out(d);
  for (std::size_t key = start; key <= row; ++key) {
    double dot = 0;
    for (std::size_t i = 0; i < d; ++i) {
      dot += static_cast<double>(value(x.q, row, head * d + i)) * value(x.k, key, kv_column + i);
    }
    scores.push_back(dot / std::sqrt(static_cast<double>(d)));
  }
  const double maximum = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (double& score : scores) sum += score = std::exp(score - maximum);
  for (std::size_t key = 0; key < scores.size(); ++key) {
    for (std::size_t i = 0; i < d; ++i) {
      out[i] += scores[key] / sum * value(x.v, start + key, kv_column + i);
    }
  }
  return out;
}

/// The worst |out - exact| over the row's largest |exact|; infinite where `out` is not finite.
struct Errors {
  double gpu = 0, cpu = 0;
};

double row_error(const std::vector<double>& exact, const TestMatrix& out, std::size_t row,
                 std::size_t column) {
  double scale = 0, worst = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const double error = std::fabs(out.value(row, column + i) - exact[i]);
    scale = std::max(scale, std::fabs(exact[i]));
    worst = error <= worst ? worst : std::isfinite(error) ? error : INFINITY;
  }
  return worst / scale;
}

Errors errors(const Shape& shape, const Fused& x, const TestMatrix& gpu, const TestMatrix& cpu) {
  Errors worst;
  const std::size_t step = shape.tokens() > 300 ? 29 : 1;
  for (std::size_t back = 0; back < shape.tokens(); back += step) {
    const std::size_t row = shape.tokens() - 1 - back;
    for (std::size_t head = 0; head < shape.kv_heads * shape.group; ++head) {
      const std::vector<double> exact = exact_row(shape, x, row, head);
      worst.gpu = std::max(worst.gpu, row_error(exact, gpu, row, head * shape.head_dim));
      worst.cpu = std::max(worst.cpu, row_error(exact, cpu, row, head * shape.head_dim));
    }
  }
  return worst;
}

double distance(const TestMatrix& a, const TestMatrix& b) {
  double worst = 0, scale = 0;
  for (std::size_t r = 0; r < a.view().rows; ++r) {
    for (std::size_t c = 0; c < a.view().cols; ++c) {
      const double difference = std::fabs(static_cast<double>(a.value(r, c)) - b.value(r, c));
      scale = std::max(scale, std::fabs(static_cast<double>(b.value(r, c))));
      worst = difference <= worst ? worst : std::isfinite(difference) ? difference : INFINITY;
    }
  }
  return worst / scale;
}

bool gaps_are_untouched(const TestMatrix& x) {
  const Matrix& view = x.view();
  for (std::size_t r = 0; r < view.rows; ++r) {
    const auto* row = reinterpret_cast<const std::uint8_t*>(view.row<bf16_bits>(r));
    for (std::size_t i = 2 * view.cols; i < 2 * view.stride; ++i) {
      if (row[i] != kPoison) return false;
    }
  }
  return true;
}

class CudaAttention : public testing::Test {
 protected:
  void SetUp() override {
    FP8CAL_GPU_OR_SKIP();
    cuda_ = make_backend({"cuda", 1});
    cpu_ = make_backend({"cpu", 8});
  }

  /// `offset`, `gap`: elements before and behind q, k and v in a fused row.
  Errors check(const Shape& shape, std::size_t offset, std::size_t gap, std::size_t out_gap) {
    const TestMatrix fused = normal_bf16(shape.tokens(), offset + shape.fused_cols(), 7, gap);
    const TestMatrix gpu = attend(*cuda_, shape, fused, offset, out_gap);
    const TestMatrix cpu = attend(*cpu_, shape, fused, offset, out_gap);
    const Errors worst = errors(shape, split(shape, fused.view(), offset), gpu, cpu);
    EXPECT_TRUE(worst.gpu <= 2e-2 && worst.gpu <= 2 * worst.cpu + 2e-3)
        << "length " << shape.length << " head_dim " << shape.head_dim << " group " << shape.group
        << ": error " << worst.gpu << ", the cpu's " << worst.cpu;
    EXPECT_LE(distance(gpu, cpu), 2e-2) << "length " << shape.length;
    EXPECT_TRUE(gaps_are_untouched(gpu)) << "length " << shape.length;
    return worst;
  }

  std::unique_ptr<Backend> cuda_, cpu_;
};

TEST_F(CudaAttention, AgreesWithDoubleAndTheCpu) {
  for (const std::size_t head_dim : {32, 64, 128}) {
    for (const std::size_t length : {1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129, 257}) {
      Errors all;
      for (const std::size_t group : {1, 2, 4, 8}) {
        const Errors worst = check({3, length, 2, group, head_dim}, 0, 8, 8);
        all = {std::max(all.gpu, worst.gpu), std::max(all.cpu, worst.cpu)};
      }
      std::printf("head_dim %3zu length %4zu: worst error %.2e, the cpu's %.2e\n", head_dim, length,
                  all.gpu, all.cpu);
    }
    const Errors worst = check({2, 2048, 1, 2, head_dim}, 0, 0, 0);
    std::printf("head_dim %3zu length 2048: worst error %.2e, the cpu's %.2e\n", head_dim,
                worst.gpu, worst.cpu);
  }
}

TEST_F(CudaAttention, AnyAlignment) {
  for (const std::size_t head_dim : {32, 64, 128}) {
    for (const std::size_t offset : {0, 1, 8}) {
      for (const std::size_t gap : {0, 1, 4}) {
        check({2, 131, 2, 3, head_dim}, offset, gap, gap);
        const Shape shape{2, 131, 2, 3, head_dim};
        const TestMatrix near = normal_bf16(shape.tokens(), shape.fused_cols(), 5, 0);
        TestMatrix far(DType::bf16, shape.tokens(), offset + shape.fused_cols(), gap);
        for (std::size_t r = 0; r < shape.tokens(); ++r) {
          std::memcpy(&far.bits(r, offset), near.view().row<bf16_bits>(r), 2 * shape.fused_cols());
        }
        EXPECT_TRUE(attend(*cuda_, shape, far, offset, 0) == attend(*cuda_, shape, near, 0, 0))
            << "offset " << offset << " gap " << gap;
      }
    }
  }
}

TEST_F(CudaAttention, SequencesAndHeadsAreIndependentOfTheirCall) {
  for (const std::size_t head_dim : {32, 64, 128}) {
    const Shape all{3, 333, 2, 4, head_dim}, one{1, 333, 1, 1, head_dim};
    const TestMatrix fused = normal_bf16(all.tokens(), all.fused_cols(), 3, 0);
    const TestMatrix together = attend(*cuda_, all, fused, 0, 0);
    EXPECT_TRUE(attend(*cuda_, all, fused, 0, 0) == together) << "a second run";
    TestMatrix apart(DType::bf16, all.tokens(), all.q_cols());
    const DeviceCopy x(*cuda_, fused), y(*cuda_, apart);
    for (std::size_t sequence = 0; sequence < all.sequences; ++sequence) {
      const std::size_t row = sequence * all.length;
      const Matrix in = x.view().row_range(row, all.length);
      const Matrix out = y.view().row_range(row, all.length);
      for (std::size_t head = 0; head < all.kv_heads * all.group; ++head) {
        const std::size_t kv_column = all.q_cols() + head / all.group * head_dim;
        cuda_->attention(in.column_range(head * head_dim, one.q_cols()),
                         in.column_range(kv_column, head_dim),
                         in.column_range(kv_column + all.kv_cols(), head_dim), head_dim, all.length,
                         out.column_range(head * head_dim, head_dim));
      }
    }
    y.download(apart);
    EXPECT_TRUE(apart == together) << "head_dim " << head_dim;
  }
}

TEST_F(CudaAttention, LaterTokensDoNotMatter) {
  const Shape shape{1, 300, 1, 1, 64};
  TestMatrix fused = normal_bf16(shape.tokens(), shape.fused_cols(), 3, 0);
  const TestMatrix before = attend(*cuda_, shape, fused, 0, 0);
  for (std::size_t c = 0; c < shape.fused_cols(); ++c) fused.bits(200, c) = float_to_bf16(9.0f);
  const TestMatrix after = attend(*cuda_, shape, fused, 0, 0);
  const std::size_t row_bytes = 2 * shape.head_dim;
  const auto same = [&](std::size_t row, std::size_t rows) {
    return std::memcmp(before.view().row<bf16_bits>(row), after.view().row<bf16_bits>(row),
                       rows * row_bytes) == 0;
  };
  EXPECT_TRUE(same(0, 200));
  // Of the later rows some give the new key a weight too small to show.
  std::size_t changed = 0;
  for (std::size_t row = 200; row < 300; ++row) changed += same(row, 1) ? 0 : 1;
  EXPECT_GT(changed, 50u);
}

/// Scores that rise by hundreds along the keys: every tile moves the softmax's reference.
TEST_F(CudaAttention, RisingScores) {
  const Shape shape{1, 400, 1, 1, 32};
  TestMatrix fused(DType::bf16, shape.tokens(), shape.fused_cols());
  for (std::size_t r = 0; r < shape.tokens(); ++r) {
    for (std::size_t c = 0; c < 32; ++c) {
      fused.bits(r, c) = float_to_bf16(c == 0 ? 8.0f : 0.0f);
      fused.bits(r, 32 + c) = float_to_bf16(c == 0 ? static_cast<float>(r / 4) : 0.0f);
      fused.bits(r, 64 + c) = float_to_bf16(static_cast<float>(r % 128 + c));
    }
  }
  const TestMatrix gpu = attend(*cuda_, shape, fused, 0, 0);
  const TestMatrix cpu = attend(*cpu_, shape, fused, 0, 0);
  const Errors worst = errors(shape, split(shape, fused.view()), gpu, cpu);
  std::printf("rising scores: worst error %.2e, the cpu's %.2e\n", worst.gpu, worst.cpu);
  EXPECT_TRUE(worst.gpu <= 1e-2);
}

/// Equal scores: row r is the mean of the values so far, 0 and 1 in turn.
TEST_F(CudaAttention, LongSequence) {
  const Shape shape{1, 131072, 1, 1, 128};
  TestMatrix fused(DType::bf16, shape.tokens(), shape.fused_cols());
  for (std::size_t r = 0; r < shape.tokens(); ++r) {
    for (std::size_t c = 0; c < shape.fused_cols(); ++c) {
      const bool is_value = c >= 2 * shape.head_dim;
      fused.bits(r, c) = float_to_bf16(is_value ? static_cast<float>(r % 2) : 0.0f);
    }
  }
  const TestMatrix out = attend(*cuda_, shape, fused, 0, 0);
  std::size_t wrong = 0;
  for (std::size_t r = 0; r < shape.tokens(); ++r) {
    const double mean = static_cast<double>((r + 1) / 2) / static_cast<double>(r + 1);
    for (std::size_t c = 0; c < shape.head_dim; ++c) {
      wrong += !(std::fabs(out.value(r, c) - mean) <= mean / 256);
    }
  }
  EXPECT_EQ(wrong, 0u);
}

TEST_F(CudaAttention, EmptyAndMisfitting) {
  TestMatrix none(DType::bf16, 0, 64);
  cuda_->attention(none, none, none, 32, 16, none);
  TestMatrix x(DType::bf16, 6, 192);
  const auto error = [&](std::size_t head_dim, std::size_t length) {
    return shape_error([&] { cuda_->attention(x, x, x, head_dim, length, x); });
  };
  EXPECT_EQ(error(32, 4), "attention: rows of k: expected a multiple of 4, found 6");
  EXPECT_EQ(error(128, 6), "attention: columns of q: expected a multiple of 128, found 192");
  EXPECT_EQ(error(96, 6), "attention: head_dim: expected 32, 64 or 128, found 96");
  TestMatrix narrow(DType::bf16, 6, 64);
  EXPECT_EQ(shape_error([&] { cuda_->attention(x, narrow, x, 32, 6, x); }),
            "attention: v: expected [6, 64] bf16, found [6, 192] bf16");
}

TEST_F(CudaAttention, Speed) {
  constexpr int kRuns = 30;
  for (const Shape& shape : {Shape{4, 2048, 8, 4, 128}, Shape{1, 8192, 8, 4, 128},
                             Shape{4, 2048, 8, 4, 64}, Shape{4, 2048, 8, 4, 32}}) {
    const DeviceCopy x(*cuda_, normal_bf16(shape.tokens(), shape.fused_cols(), 1, 0));
    const DeviceCopy y(*cuda_, TestMatrix(DType::bf16, shape.tokens(), shape.q_cols()));
    const Fused parts = split(shape, x.view());
    double seconds = 0;
    for (const int runs : {3, kRuns}) {  // the first to warm up
      const auto start = std::chrono::steady_clock::now();
      for (int i = 0; i < runs; ++i) {
        cuda_->attention(parts.q, parts.k, parts.v, shape.head_dim, shape.length, y.view());
      }
      cuda_->synchronize();
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
      seconds = taken.count() / runs;
    }
    const double operations = 2.0 * static_cast<double>(shape.q_cols()) *
                              static_cast<double>(shape.tokens()) *
                              static_cast<double>(shape.length);
    std::printf("%zu x %zu, %zu q heads, %zu kv heads, head_dim %zu: %.3f ms, %.0f TFLOP/s\n",
                shape.sequences, shape.length, shape.kv_heads * shape.group, shape.kv_heads,
                shape.head_dim, seconds * 1e3, operations / seconds * 1e-12);
  }
}

}  // namespace
}  // namespace fp8cal
