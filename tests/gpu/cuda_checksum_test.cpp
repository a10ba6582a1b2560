#include <gtest/gtest.h>

#include <cstdio>
#include <random>
#include <utility>

#include "gpu_test.hpp"
#include "kernels/cuda/checksum.cuh"
#include "kernels/cuda/cuda_stream.hpp"

namespace fp8cal {
namespace {

class CudaChecksum : public testing::Test {
 protected:
  void SetUp() override {
    FP8CAL_GPU_OR_SKIP();
    cuda_ = make_backend({"cuda", 1});
    sum_ = cuda_->allocate(sizeof(std::uint64_t));
  }

  std::uint64_t checksum(ConstMatrix on_device) {
    std::uint64_t sum = 0;
    cuda_checksum(cuda_stream(*cuda_), on_device, sum_.as<std::uint64_t>());
    cuda_->download(&sum, sum_.data(), sizeof sum);
    return sum;
  }
  /// Without the first `skipped` columns.
  std::uint64_t checksum(const TestMatrix& matrix, std::size_t skipped) {
    const DeviceCopy copy(*cuda_, matrix);
    return checksum(copy.view().column_range(skipped, matrix.view().cols - skipped));
  }

  std::unique_ptr<Backend> cuda_;
  Buffer sum_;
};

TestMatrix random_matrix(DType dtype, const TestSize& size) {
  TestMatrix matrix(dtype, size.rows, size.cols, size.gap);
  std::mt19937 generator(1);
  auto* bytes = static_cast<std::uint8_t*>(matrix.view().data);
  const std::size_t count = matrix.view().rows * matrix.view().stride * size_of(dtype);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::uint8_t>(generator());
  return matrix;
}

void flip(TestMatrix& matrix, std::size_t row, std::size_t column, unsigned bit) {
  const std::size_t element = size_of(matrix.view().dtype);
  auto* bytes = static_cast<std::uint8_t*>(matrix.view().data);
  bytes[(row * matrix.view().stride + column) * element + bit / 8] ^=
      static_cast<std::uint8_t>(1u << bit % 8);
}

const TestSize kSizes[] = {{1, 2, 0},      {1, 2, 3},      {3, 7, 1},  {5, 8, 4},
                           {5, 9, 4},      {5, 8, 3},      {2, 10, 2}, {300, 1030, 2},
                           {2500, 513, 3}, {2500, 512, 0}, {7, 512, 8}};

TEST_F(CudaChecksum, NoticesAnyBit) {
  std::mt19937 generator(2);
  for (const DType dtype : {DType::bf16, DType::f32, DType::e4m3}) {
    const auto bits = static_cast<unsigned>(8 * size_of(dtype));
    for (const TestSize& size : kSizes) {
      for (const std::size_t skipped : {0, 1}) {
        TestMatrix matrix = random_matrix(dtype, size);
        const std::uint64_t expected = checksum(matrix, skipped);
        EXPECT_EQ(checksum(matrix, skipped), expected) << size.to_string();
        const auto expect_noticed = [&](std::size_t row, std::size_t column, unsigned bit) {
          flip(matrix, row, column, bit);
          EXPECT_NE(checksum(matrix, skipped), expected)
              << size.to_string() << ": row " << row << ", column " << column << ", bit " << bit;
          flip(matrix, row, column, bit);
        };
        for (const unsigned bit : {0u, bits - 1}) {
          expect_noticed(0, skipped, bit);
          expect_noticed(0, size.cols - 1, bit);
          expect_noticed(size.rows - 1, skipped, bit);
          expect_noticed(size.rows - 1, size.cols - 1, bit);
        }
        for (int i = 0; i < 20; ++i) {
          expect_noticed(generator() % size.rows, skipped + generator() % (size.cols - skipped),
                         generator() % bits);
        }
      }
    }
  }
}

TEST_F(CudaChecksum, LooksAtNothingBetweenRows) {
  for (const TestSize& size : kSizes) {
    if (size.gap == 0) continue;
    TestMatrix matrix = random_matrix(DType::bf16, size);
    const std::uint64_t expected = checksum(matrix, 0);
    for (const std::size_t row : {std::size_t{0}, size.rows / 2, size.rows - 1}) {
      flip(matrix, row, size.cols, 0);
      flip(matrix, row, size.cols + size.gap - 1, 15);
    }
    EXPECT_EQ(checksum(matrix, 0), expected) << size.to_string();
  }
}

/// Where sums of weighted words would forget something: several of the highest bits, an exchange.
TEST_F(CudaChecksum, NoticesChangesThatMightCancel) {
  TestMatrix matrix = random_matrix(DType::bf16, {64, 64, 0});
  const std::uint64_t expected = checksum(matrix, 0);
  for (std::size_t r = 0; r < 64; ++r) {
    for (std::size_t c = 3; c < 64; c += 4) flip(matrix, r, c, 15);
  }
  EXPECT_NE(checksum(matrix, 0), expected);

  TestMatrix exchanged = random_matrix(DType::bf16, {64, 64, 0});
  for (std::size_t c = 0; c < 64; ++c) std::swap(exchanged.bits(5, c), exchanged.bits(9, c));
  EXPECT_NE(checksum(exchanged, 0), expected);
}

TEST_F(CudaChecksum, OfNothing) {
  const DeviceCopy copy(*cuda_, random_matrix(DType::bf16, {3, 8, 0}));
  EXPECT_EQ(checksum(copy.view().row_range(0, 0)), 0u);
  EXPECT_EQ(checksum(copy.view().column_range(0, 0)), 0u);
}

TEST_F(CudaChecksum, Speed) {
  const std::size_t rows = 16384, cols = 28672;
  const Buffer data = cuda_->allocate(rows * cols * sizeof(bf16_bits));
  cuda_->fill_zero(data.data(), data.bytes());
  for (const std::size_t used : {cols, cols - 1}) {
    const ConstMatrix matrix{data.data(), DType::bf16, rows, used, cols};
    const double seconds = seconds_of(
        *cuda_, 10, [&] { cuda_checksum(cuda_stream(*cuda_), matrix, sum_.as<std::uint64_t>()); });
    std::printf("  checksum of %zu x %zu bf16: %.0f us, %.0f GB/s\n", rows, used, seconds * 1e6,
                1e-9 * static_cast<double>(rows * used * sizeof(bf16_bits)) / seconds);
  }
}

}  // namespace
}  // namespace fp8cal
