#include "kernels/cpu/dequantize.hpp"

#include "kernels/checks.hpp"

namespace fp8cal {

void cpu_dequantize(const CpuContext& context, ConstMatrix codes, Scales scale, Matrix out) {
  expect_fp8("dequantize: codes", codes, codes.rows, codes.cols);
  expect_matrix("dequantize: out", out, codes.rows, codes.cols);
  expect_scales("dequantize: scale", scale, codes.rows);
  const auto dequantize = codes.dtype == DType::e4m3 ? context.kernels.dequantize_e4m3
                                                     : context.kernels.dequantize_e5m2;
  context.pool.parallel_ranges(codes.rows, codes.cols, [&](std::size_t first, std::size_t last) {
    for (std::size_t r = first; r < last; ++r) {
      dequantize(codes.row<std::uint8_t>(r), scale.data[scale.count == 1 ? 0 : r], codes.cols,
                 out.row<std::uint16_t>(r));
    }
  });
}

}  // namespace fp8cal
