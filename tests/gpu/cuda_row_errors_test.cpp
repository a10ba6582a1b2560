#include <gtest/gtest.h>

#include <vector>

#include "kernels/float_formats.hpp"
#include "tests/gpu/gpu_test.hpp"

namespace fp8cal {
namespace {

/// The errors of a matrix on one backend; x [rows, cols] as bits.
std::vector<RowError> errors_on(Backend& backend, const std::vector<std::uint16_t>& x,
                                std::size_t rows, std::size_t cols, DType format,
                                const std::vector<float>& scales) {
  const DeviceArray<std::uint16_t> values(backend, x);
  const DeviceArray<float> scale(backend, scales);
  const DeviceArray<std::uint8_t> codes(backend, std::vector<std::uint8_t>(rows * cols));
  const DeviceArray<RowError> errors(backend, std::vector<RowError>(rows, RowError{-1, -1, 99}));
  const Matrix in = Matrix::dense(values.data(), DType::bf16, rows, cols);
  const Matrix out = Matrix::dense(codes.data(), format, rows, cols);
  backend.quantize(in, {scale.data(), scales.size()}, out);
  backend.row_errors(in, out, {scale.data(), scales.size()}, errors.data());
  return errors.values();
}

TEST(CudaRowErrors, EqualTheCpus) {
  FP8CAL_GPU_OR_SKIP();
  const auto cpu = make_backend({"cpu", 4});
  const auto cuda = make_backend({"cuda", 1});
  for (const DType format : {DType::e4m3, DType::e5m2}) {
    for (const std::size_t cols : {1u, 7u, 256u, 4096u, 28672u}) {
      for (const bool by_row : {false, true}) {
        const std::size_t rows = 37;
        std::vector<std::uint16_t> x(rows * cols);
        for (std::size_t i = 0; i < x.size(); ++i) {
          const float sign = i % 3 == 0 ? -1.0f : 1.0f;
          x[i] = float_to_bf16(sign * static_cast<float>((i * 2654435761u) % 65521) * 0x1p-20f);
        }
        std::vector<float> scales(by_row ? rows : 1);
        for (std::size_t r = 0; r < scales.size(); ++r)
          scales[r] = 1e-4f * static_cast<float>(r + 1);
        const auto expected = errors_on(*cpu, x, rows, cols, format, scales);
        const auto found = errors_on(*cuda, x, rows, cols, format, scales);
        for (std::size_t r = 0; r < rows; ++r) {
          EXPECT_EQ(found[r].flushed, expected[r].flushed) << r;
          EXPECT_NEAR(found[r].energy, expected[r].energy, 1e-12 * expected[r].energy) << r;
          EXPECT_NEAR(found[r].squared_error, expected[r].squared_error,
                      1e-12 * expected[r].squared_error)
              << r;
        }
      }
    }
  }
}

}  // namespace
}  // namespace fp8cal
