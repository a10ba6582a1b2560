#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "gpu_test.hpp"
#include "tests/unit/cpu_test_support.hpp"

namespace fp8cal {

/// Scales on a device, `offset` floats from the start of their allocation.
class ScalesOnDevice {
 public:
  ScalesOnDevice(Backend& backend, const std::vector<float>& values, std::size_t offset = 0)
      : count_(values.size()),
        offset_(offset),
        buffer_(backend.allocate((values.size() + offset) * sizeof(float))) {
    backend.upload(buffer_.as<float>() + offset, values.data(), values.size() * sizeof(float));
    backend.synchronize();
  }
  operator Scales() const { return {buffer_.as<float>() + offset_, count_}; }

 private:
  std::size_t count_, offset_;
  Buffer buffer_;
};

/// Normally distributed numbers, repeated after a million.
inline TestMatrix tiled_bf16(std::size_t rows, std::size_t cols, unsigned seed,
                             std::size_t gap = 0) {
  const std::size_t period = std::min<std::size_t>(1000003, rows * cols + 1);
  TestMatrix pool = random_bf16(1, period, seed);
  TestMatrix matrix(DType::bf16, rows, cols, gap);
  std::size_t i = 0;
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < cols; ++c) matrix.bits(r, c) = pool.bits(0, i++ % period);
  }
  return matrix;
}

/// The codes of normally distributed numbers of deviation 40.
inline TestMatrix tiled_fp8(Backend& cpu, DType dtype, std::size_t rows, std::size_t cols,
                            unsigned seed, std::size_t gap = 0) {
  const TestMatrix wide = tiled_bf16(rows, cols, seed);
  TestMatrix codes(dtype, rows, cols, gap);
  const float scale = 1.0f / 40;
  cpu.quantize(wide, {&scale, 1}, codes);
  return codes;
}

inline std::vector<float> spread_scales(std::size_t count, float from) {
  std::vector<float> scales(count);
  for (std::size_t i = 0; i < count; ++i) scales[i] = from * (1.0f + 0.37f * (i % 11));
  return scales;
}

/// Prints how far two bf16 results differ, and checks each element within `most` of its size or of
/// the root mean square, and everything between the rows untouched.
inline void expect_close(const TestMatrix& found, const TestMatrix& expected,
                         const std::string& what, double most = 2e-2) {
  const Matrix& view = expected.view();
  double squares = 0.0;
  for (std::size_t r = 0; r < view.rows; ++r) {
    for (std::size_t c = 0; c < view.cols; ++c) squares += std::pow(expected.value(r, c), 2);
  }
  const std::size_t count = view.rows * view.cols;
  const double rms = count == 0 ? 0.0 : std::sqrt(squares / static_cast<double>(count));
  double worst = 0.0;
  std::size_t equal = 0, beyond = 0;
  for (std::size_t r = 0; r < view.rows; ++r) {
    for (std::size_t c = 0; c < view.cols; ++c) {
      const double want = expected.value(r, c), got = found.value(r, c);
      if (want == got) {
        ++equal;
        continue;
      }
      const double error = std::abs(got - want) / std::max(std::abs(want), rms);
      if (!(error <= most)) ++beyond;
      if (!(error <= worst)) worst = error;
    }
  }
  std::printf("  %-58s worst %.2e, equal bits %.4f %%\n", what.c_str(), worst,
              count == 0 ? 100.0 : 100.0 * static_cast<double>(equal) / static_cast<double>(count));
  EXPECT_EQ(beyond, 0u) << what;
  for (std::size_t r = 0; r + 1 < view.rows; ++r) {
    for (std::size_t c = view.cols; c < view.stride; ++c) {
      ASSERT_EQ(found.view().row<bf16_bits>(r)[c], 0xABAB) << what << ": gap after row " << r;
    }
  }
}

struct Size {
  std::size_t rows, columns, depth;
  std::string to_string() const {
    return std::to_string(rows) + " x " + std::to_string(columns) + " x " + std::to_string(depth);
  }
};

/// Operands of one size, FP8 ones from the BF16 ones.
struct SpeedCase {
  SpeedCase(Backend& cuda, const Size& size)
      : x(cuda, tiled_bf16(size.rows, size.depth, 7)),
        weight(cuda, tiled_bf16(size.columns, size.depth, 8)),
        x8(cuda, TestMatrix(DType::e4m3, size.rows, size.depth)),
        weight8(cuda, TestMatrix(DType::e4m3, size.columns, size.depth)),
        out(cuda, TestMatrix(DType::bf16, size.rows, size.columns)),
        one(cuda, {1.0f / 40}),
        x_scales(cuda, spread_scales(size.rows, 0.01f)),
        weight_scales(cuda, spread_scales(size.columns, 0.01f)) {
    cuda.quantize(x, one, x8);
    cuda.quantize(weight, one, weight8);
  }

  DeviceCopy x, weight, x8, weight8, out;
  ScalesOnDevice one, x_scales, weight_scales;
};

/// Llama 3.1's linear layers, N and K, fused as the worker fuses them: qkv, o, gate and up, down.
inline const std::vector<std::pair<std::size_t, std::size_t>> kLayers8B = {
    {6144, 4096}, {4096, 4096}, {28672, 4096}, {4096, 14336}};

}  // namespace fp8cal
