#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

#include "kernels/backend.hpp"
#include "kernels/float_formats.hpp"

namespace fp8cal {
namespace {

std::vector<std::uint16_t> bf16(const std::vector<float>& values) {
  std::vector<std::uint16_t> bits;
  for (const float value : values) bits.push_back(float_to_bf16(value));
  return bits;
}

TEST(CpuRowErrors, AreThoseOfTheNearestNumbers) {
  const auto backend = make_backend({"cpu", 2});
  // Between 8 and 16 E4M3 has steps of 1; below 2^-10 nothing but 0.
  std::vector<std::uint16_t> x = bf16({8.25f, -9.0f, 0x1p-11f, 0.0f, 16.5f, 4.0f, -0x1p-10f, 1.0f});
  std::vector<std::uint8_t> codes(8);
  const std::vector<float> scales = {1.0f, 2.0f};
  const Matrix in = Matrix::dense(x.data(), DType::bf16, 2, 4);
  const Matrix out = Matrix::dense(codes.data(), DType::e4m3, 2, 4);
  backend->quantize(in, {scales.data(), 2}, out);
  std::vector<RowError> errors(2);
  backend->row_errors(in, out, {scales.data(), 2}, errors.data());

  EXPECT_EQ(errors[0].energy, 8.25 * 8.25 + 81 + 0x1p-22);
  EXPECT_EQ(errors[0].squared_error, 0.25 * 0.25 + 0x1p-22);
  EXPECT_EQ(errors[0].flushed, 1u);
  EXPECT_EQ(errors[1].energy, 16.5 * 16.5 + 16 + 0x1p-20 + 1);
  EXPECT_EQ(errors[1].squared_error, 0.5 * 0.5 + 0x1p-20);  // 16.5 / 2 = 8.25 becomes 8
  EXPECT_EQ(errors[1].flushed, 1u);                         // 2^-11 does; 0 was 0
}

TEST(CpuRowErrors, E5M2AndOneScale) {
  const auto backend = make_backend({"cpu", 1});
  std::vector<std::uint16_t> x = bf16({9.0f, 2.0f, 7.0f});
  std::vector<std::uint8_t> codes(3);
  const float scale = 1.0f;
  const Matrix in = Matrix::dense(x.data(), DType::bf16, 3, 1);
  const Matrix out = Matrix::dense(codes.data(), DType::e5m2, 3, 1);
  backend->quantize(in, {&scale, 1}, out);
  std::vector<RowError> errors(3);
  backend->row_errors(in, out, {&scale, 1}, errors.data());
  EXPECT_EQ(errors[0].squared_error, 1.0);  // steps of 2 above 8, the tie to the even code: 8
  EXPECT_EQ(errors[1].squared_error, 0.0);
  EXPECT_EQ(errors[2].squared_error, 0.0);
}

TEST(CpuRowErrors, RefusesShapesThatDoNotFit) {
  const auto backend = make_backend({"cpu", 1});
  std::vector<std::uint16_t> x(6);
  std::vector<std::uint8_t> codes(6);
  const std::vector<float> scales(2, 1.0f);
  std::vector<RowError> errors(3);
  const Matrix in = Matrix::dense(x.data(), DType::bf16, 3, 2);
  EXPECT_THROW(backend->row_errors(in, Matrix::dense(codes.data(), DType::e4m3, 2, 3),
                                   {scales.data(), 1}, errors.data()),
               std::invalid_argument);
  EXPECT_THROW(backend->row_errors(in, Matrix::dense(codes.data(), DType::e4m3, 3, 2),
                                   {scales.data(), 2}, errors.data()),
               std::invalid_argument);
}

}  // namespace
}  // namespace fp8cal
