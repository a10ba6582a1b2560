#include "kernels/cpu/row_errors.hpp"

#include <array>

#include "kernels/checks.hpp"
#include "kernels/float_formats.hpp"

namespace fp8cal {
namespace {

using Values = std::array<double, 256>;  // of a format's codes

Values values_of(Fp8Format format) {
  Values values;
  for (std::size_t code = 0; code < values.size(); ++code) {
    values[code] = fp8_to_float(format, static_cast<std::uint8_t>(code));
  }
  return values;
}

RowError error_of(const std::uint16_t* x, const std::uint8_t* codes, std::size_t cols,
                  const Values& values, double scale) {
  RowError error{};
  for (std::size_t c = 0; c < cols; ++c) {
    const double value = bf16_to_float(x[c]);
    const double kept = values[codes[c]] * scale;
    error.energy += value * value;
    error.squared_error += (value - kept) * (value - kept);
    error.flushed += value != 0 && kept == 0 ? 1 : 0;
  }
  return error;
}

}  // namespace

void cpu_row_errors(const CpuContext& context, ConstMatrix x, ConstMatrix codes, Scales scale,
                    RowError* errors) {
  expect_matrix("row_errors: x", x, x.rows, x.cols);
  expect_fp8("row_errors: codes", codes, x.rows, x.cols);
  expect_scales("row_errors: scale", scale, x.rows);
  const Values values = values_of(codes.dtype == DType::e4m3 ? Fp8Format::e4m3 : Fp8Format::e5m2);
  context.pool.parallel_ranges(x.rows, 4 * x.cols, [&](std::size_t first, std::size_t last) {
    for (std::size_t r = first; r < last; ++r) {
      errors[r] = error_of(x.row<std::uint16_t>(r), codes.row<std::uint8_t>(r), x.cols, values,
                           scale.data[scale.count == 1 ? 0 : r]);
    }
  });
}

}  // namespace fp8cal
