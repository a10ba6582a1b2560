#include "kernels/cpu/quantize.hpp"

#include "kernels/checks.hpp"
#include "kernels/float_formats.hpp"

namespace fp8cal {
namespace {

void quantize_row(const VectorKernels& kernels, const ConstMatrix& x, std::size_t r, float scale,
                  const Matrix& out) {
  const auto quantize = out.dtype == DType::e4m3 ? kernels.quantize_e4m3 : kernels.quantize_e5m2;
  quantize(x.row<std::uint16_t>(r), scale, x.cols, out.row<std::uint8_t>(r));
}

}  // namespace

void cpu_quantize(const CpuContext& context, ConstMatrix x, Scales scale, Matrix out) {
  expect_matrix("quantize: x", x, x.rows, x.cols);
  expect_fp8("quantize: out", out, x.rows, x.cols);
  expect_scales("quantize: scale", scale, x.rows);
  context.pool.parallel_ranges(x.rows, x.cols, [&](std::size_t first, std::size_t last) {
    for (std::size_t r = first; r < last; ++r) {
      quantize_row(context.kernels, x, r, scale.data[scale.count == 1 ? 0 : r], out);
    }
  });
}

void cpu_quantize_rows(const CpuContext& context, ConstMatrix x, Matrix out, float* scales) {
  expect_matrix("quantize_rows: x", x, x.rows, x.cols);
  expect_fp8("quantize_rows: out", out, x.rows, x.cols);
  const float largest = out.dtype == DType::e4m3 ? kE4M3Max : kE5M2Max;
  context.pool.parallel_ranges(x.rows, x.cols, [&](std::size_t first, std::size_t last) {
    for (std::size_t r = first; r < last; ++r) {
      const bf16_bits amax = context.kernels.magnitude(x.row<std::uint16_t>(r), x.cols);
      scales[r] = scale_of(bf16_to_float(amax), largest);
      quantize_row(context.kernels, x, r, scales[r], out);
    }
  });
}

}  // namespace fp8cal
