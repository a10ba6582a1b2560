#include <gtest/gtest.h>

#include <cmath>

#include "product_test.hpp"

namespace fp8cal {
namespace {

class CudaFewRows : public BothBackends {
 protected:
  /// The same product of both backends. A null scale: none.
  void compare(const TestMatrix& x, const std::vector<float>& x_scale, const TestMatrix& weight,
               const std::vector<float>& weight_scale, std::size_t gap, const std::string& what) {
    const std::size_t rows = x.view().rows, columns = weight.view().rows;
    TestMatrix expected(DType::bf16, rows, columns, gap), found(DType::bf16, rows, columns, gap);
    const auto host = [](const std::vector<float>& scales) {
      return scales.empty() ? Scales{} : Scales{scales.data(), scales.size()};
    };
    cpu_->multiply_few(x, host(x_scale), weight, host(weight_scale), expected);
    const DeviceCopy dx(*cuda_, x), dweight(*cuda_, weight), out(*cuda_, found);
    const ScalesOnDevice dxs(*cuda_, x_scale), dws(*cuda_, weight_scale);
    cuda_->multiply_few(dx, x_scale.empty() ? Scales{} : Scales(dxs), dweight,
                        weight_scale.empty() ? Scales{} : Scales(dws), out);
    out.download(found);
    // The reference rounds code * scale of a weight to bf16, the GPU does not.
    const bool mixed = x.view().dtype != weight.view().dtype;
    expect_close(found, expected, what, mixed ? 4e-2 : 2e-2);
  }
};

TEST_F(CudaFewRows, AgreesWithTheReference) {
  const Size sizes[] = {{1, 4096, 4096}, {1, 6144, 4096}, {7, 520, 14336}, {8, 4096, 1024},
                        {9, 1000, 2048}, {16, 96, 4096},  {17, 33, 4096},  {32, 4096, 4096},
                        {32, 17, 528},   {1, 1, 16},      {3, 16, 48},     {5, 128, 80},
                        {2, 4096, 14336}};
  for (const Size& size : sizes) {
    for (const std::size_t gap : {0, 16}) {
      const std::string what = size.to_string() + " + " + std::to_string(gap);
      const TestMatrix x = tiled_bf16(size.rows, size.depth, 1, gap);
      const TestMatrix weight = tiled_bf16(size.columns, size.depth, 2, gap);
      const TestMatrix x8 = tiled_fp8(*cpu_, DType::e4m3, size.rows, size.depth, 3, gap);
      const TestMatrix weight8 = tiled_fp8(*cpu_, DType::e4m3, size.columns, size.depth, 4, gap);
      const std::vector<float> one = {0.01f};
      compare(x, {}, weight, {}, gap, "bf16, " + what);
      compare(x8, one, weight8, one, gap, "e4m3, " + what);
      compare(x8, spread_scales(size.rows, 0.01f), weight8, spread_scales(size.columns, 0.02f), gap,
              "e4m3, vectors, " + what);
      compare(x, {}, weight8, one, gap, "bf16 by e4m3, " + what);
      compare(x, {}, weight8, spread_scales(size.columns, 0.02f), gap,
              "bf16 by e4m3, vectors, " + what);
    }
  }
}

TEST_F(CudaFewRows, EveryCodeOfAWeightIsExact) {
  constexpr std::size_t kDepth = 16;
  TestMatrix x(DType::bf16, 1, kDepth), weight(DType::e4m3, 256, kDepth);
  for (std::size_t c = 0; c < kDepth; ++c) {
    x.bits(0, c) = float_to_bf16(c == 5 ? 1.0f : 0.0f);
    for (std::size_t r = 0; r < 256; ++r) {
      weight.code(r, c) = static_cast<std::uint8_t>(r);
    }
  }
  const float one = 1.0f;
  TestMatrix expected(DType::bf16, 1, 256), found(DType::bf16, 1, 256);
  cpu_->multiply_few(x, {}, weight, {&one, 1}, expected);
  const DeviceCopy dx(*cuda_, x), dweight(*cuda_, weight), out(*cuda_, found);
  const ScalesOnDevice scale(*cuda_, {one});
  cuda_->multiply_few(dx, {}, dweight, scale, out);
  out.download(found);
  for (std::size_t c = 0; c < 256; ++c) {
    const float value = expected.value(0, c);
    EXPECT_EQ(std::isnan(value), c % 128 == 127) << c;
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(found.value(0, c))) << c;
    } else {
      EXPECT_EQ(found.value(0, c), value) << c;
    }
  }
}

/// Rows of ordinary numbers, and some of which elements are far from the others, or all are far
/// from one, zeros, infinite or NaN.
TestMatrix uneven_bf16(std::size_t rows, std::size_t cols, unsigned seed) {
  TestMatrix x = tiled_bf16(rows, cols, seed);
  const auto scale_by = [&](std::size_t r, std::size_t c, int power) {
    x.bits(r, c) = float_to_bf16(std::ldexp(x.value(r, c), power));
  };
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < cols; ++c) {
      if (r % 8 == 1) scale_by(r, c, -static_cast<int>(c % 60));
      if (r % 8 == 2) scale_by(r, c, -80);
      if (r % 8 == 3) scale_by(r, c, 80);
      if (r % 8 == 4) x.bits(r, c) = c % 3 == 0 ? 0x8000 : 0;
      if (r % 8 == 5 && c % 7 == 0) x.bits(r, c) = 0;
    }
    if (r % 8 == 6) x.bits(r, cols / 2) = 0xFF80;
    if (r % 8 == 7) x.bits(r, cols / 3) = 0x7FC0;
  }
  return x;
}

/// Slices of columns, and of rows, have the bits of the whole: those of tensor-parallel ranks.
TEST_F(CudaFewRows, BitsDependOnNeitherRowsNorColumns) {
  constexpr std::size_t kRows = 32, kColumns = 512, kDepth = 4096;
  const DeviceCopy x(*cuda_, uneven_bf16(kRows, kDepth, 1)),
      x8(*cuda_, tiled_fp8(*cpu_, DType::e4m3, kRows, kDepth, 3)),
      weight(*cuda_, tiled_bf16(kColumns, kDepth, 2)),
      weight8(*cuda_, tiled_fp8(*cpu_, DType::e4m3, kColumns, kDepth, 4)),
      whole(*cuda_, TestMatrix(DType::bf16, kRows, kColumns)),
      sliced(*cuda_, TestMatrix(DType::bf16, kRows, kColumns));
  const ScalesOnDevice one(*cuda_, {0.013f});
  const auto compare = [&](const char* what, const Matrix& a, Scales a_scale, const Matrix& b,
                           Scales b_scale) {
    cuda_->multiply_few(a, a_scale, b, b_scale, whole);
    for (const std::size_t rows : {1, 4, 16}) {
      for (std::size_t r = 0; r < kRows; r += rows) {
        for (std::size_t c = 0; c < kColumns; c += 64) {
          cuda_->multiply_few(a.row_range(r, rows), a_scale, b.row_range(c, 64), b_scale,
                              sliced.view().row_range(r, rows).column_range(c, 64));
        }
      }
      EXPECT_EQ(sliced.values(), whole.values()) << what << ", " << rows;
    }
  };
  compare("bf16", x.view(), {}, weight.view(), {});
  compare("e4m3", x8.view(), one, weight8.view(), one);
  compare("bf16 by e4m3", x.view(), {}, weight8.view(), one);
}

/// A product that quantizes its input has the bits of two calls.
class CudaQuantizingProduct : public BothBackends {
 protected:
  void compare(std::size_t columns, std::size_t depth) {
    constexpr std::size_t kRows = 9;
    const std::string what = std::to_string(columns) + " x " + std::to_string(depth);
    const DeviceCopy x(*cuda_, uneven_bf16(kRows, depth, 5)),
        weight(*cuda_, tiled_fp8(*cpu_, DType::e4m3, columns, depth, 6)),
        codes(*cuda_, TestMatrix(DType::e4m3, kRows, depth)),
        expected(*cuda_, TestMatrix(DType::bf16, kRows, columns)),
        row_by_row(*cuda_, TestMatrix(DType::bf16, kRows, columns)),
        together(*cuda_, TestMatrix(DType::bf16, kRows, columns));
    const DeviceArray<float> row_scales(*cuda_, std::vector<float>(kRows));
    const ScalesOnDevice weight_scales(*cuda_, spread_scales(columns, 0.02f)),
        one(*cuda_, {0.013f});
    const auto at_once = [&](std::size_t r, std::size_t rows, Scales scale, const Matrix& found) {
      const QuantizedRows into{codes.view().row_range(0, rows), scale, row_scales.data()};
      cuda_->quantize_multiply_few(x.view().row_range(r, rows), into, weight, weight_scales,
                                   found.row_range(r, rows));
    };
    cuda_->quantize_rows(x, codes, row_scales.data());
    cuda_->multiply_few(codes, {row_scales.data(), kRows}, weight, weight_scales, expected);
    for (std::size_t r = 0; r < kRows; ++r) at_once(r, 1, {}, row_by_row);
    EXPECT_EQ(row_by_row.values(), expected.values()) << what;
    at_once(0, kRows, {}, together);
    EXPECT_EQ(together.values(), expected.values()) << what;
    cuda_->quantize(x, one, codes);
    cuda_->multiply_few(codes, one, weight, weight_scales, expected);
    at_once(0, kRows, one, together);
    EXPECT_EQ(together.values(), expected.values()) << what;
  }
};

TEST_F(CudaQuantizingProduct, HasTheBitsOfSingleCalls) {
  compare(1, 16);
  compare(520, 4096);
  compare(33, 30720);
}

TEST_F(CudaQuantizingProduct, LargeOnesHaveTheBitsOfSingleCalls) {
  for (const auto& [columns, depth] : kLayers8B) compare(columns, depth);
  compare(8192, 16384);
}

/// A gated product gives the bits of its parts, whatever it quantizes.
TEST_F(CudaFewRows, SiluHasTheBitsOfSingleCalls) {
  for (const Size& size : {Size{1, 14336, 512}, Size{5, 20, 4096}, Size{9, 1000, 256},
                           Size{32, 264, 128}, Size{3, 7, 48}}) {
    const std::size_t rows = size.rows, width = size.columns, depth = size.depth;
    const ScalesOnDevice x_scales(*cuda_, spread_scales(rows, 0.01f)),
        weight_scales(*cuda_, spread_scales(2 * width, 0.02f)), one(*cuda_, {0.013f});
    for (const auto& [x_dtype, weight_dtype] :
         {std::pair(DType::bf16, DType::bf16), std::pair(DType::e4m3, DType::e4m3),
          std::pair(DType::bf16, DType::e4m3)}) {
      const auto matrix = [&](DType dtype, std::size_t r, unsigned seed) {
        return dtype == DType::bf16 ? tiled_bf16(r, depth, seed)
                                    : tiled_fp8(*cpu_, dtype, r, depth, seed);
      };
      const DeviceCopy x(*cuda_, matrix(x_dtype, rows, 1)),
          weight(*cuda_, matrix(weight_dtype, 2 * width, 2)),
          products(*cuda_, TestMatrix(DType::bf16, rows, 2 * width)),
          expected(*cuda_, TestMatrix(DType::bf16, rows, width)),
          found(*cuda_, TestMatrix(DType::bf16, rows, width)),
          expected_codes(*cuda_, TestMatrix(DType::e4m3, rows, width)),
          found_codes(*cuda_, TestMatrix(DType::e4m3, rows, width));
      const DeviceArray<float> expected_scales(*cuda_, std::vector<float>(rows)),
          found_scales(*cuda_, std::vector<float>(rows));
      const Scales of_x = x_dtype == DType::bf16 ? Scales{} : Scales(x_scales);
      const Scales of_weight = weight_dtype == DType::bf16 ? Scales{} : Scales(weight_scales);
      const auto at_once = [&](const QuantizedRows& into) {
        cuda_->multiply_few_silu(x, of_x, weight, of_weight, products, found, into);
      };
      cuda_->multiply_few(x, of_x, weight, of_weight, products);
      cuda_->silu_multiply(products.view().column_range(0, width),
                           products.view().column_range(width, width), expected);
      at_once({});
      EXPECT_EQ(found.values(), expected.values()) << size.to_string();
      cuda_->quantize(expected, one, expected_codes);
      at_once({found_codes, one, nullptr});
      EXPECT_EQ(found_codes.values(), expected_codes.values()) << size.to_string();
      cuda_->quantize_rows(expected, expected_codes, expected_scales.data());
      at_once({found_codes, {}, found_scales.data()});
      EXPECT_EQ(found_codes.values(), expected_codes.values()) << size.to_string();
      EXPECT_EQ(found_scales.values(), expected_scales.values()) << size.to_string();
    }
  }
}

TEST_F(CudaFewRows, Speed) {
  for (const std::size_t rows : {1, 8, 16, 32}) {
    for (const auto& [columns, depth] : kLayers8B) {
      const SpeedCase one(*cuda_, {rows, columns, depth});
      // Copies, so that no weight is read from the L2 cache.
      constexpr int kCopies = 6;
      std::vector<std::unique_ptr<DeviceCopy>> w16, w8;
      for (int i = 0; i < kCopies; ++i) {
        w16.push_back(std::make_unique<DeviceCopy>(*cuda_, tiled_bf16(columns, depth, 8)));
        w8.push_back(std::make_unique<DeviceCopy>(*cuda_, one.weight8.values()));
      }
      const auto report = [&](const char* name, double bytes, auto&& call) {
        const std::unique_ptr<Recording> all = cuda_->record([&] {
          for (int i = 0; i < kCopies; ++i) call(i);
        });
        const double seconds = seconds_of(*cuda_, 20, [&] { all->replay(); }) / kCopies;
        std::printf("  %2zu x %5zu x %5zu  %-22s %7.2f us  %7.1f GB/s\n", rows, columns, depth,
                    name, seconds * 1e6, bytes / seconds / 1e9);
      };
      const double elements = static_cast<double>(columns * depth);
      const auto both = [&](const char* few, const char* many, double bytes, auto&& few_call,
                            auto&& many_call) {
        few_call(0);
        many_call(0);
        report(few, bytes, few_call);
        report(many, bytes, many_call);
      };
      both(
          "few bf16", "cuBLASLt bf16", 2 * elements,
          [&](int i) { cuda_->multiply_few(one.x, {}, *w16[i], {}, one.out); },
          [&](int i) { cuda_->multiply(one.x, *w16[i], one.out); });
      both(
          "few e4m3", "cuBLASLt e4m3", elements,
          [&](int i) { cuda_->multiply_few(one.x8, one.one, *w8[i], one.one, one.out); },
          [&](int i) { cuda_->multiply_scaled(one.x8, one.one, *w8[i], one.one, one.out); });
      const auto mixed = [&](int i) {
        cuda_->multiply_few(one.x, {}, *w8[i], one.weight_scales, one.out);
      };
      mixed(0);
      report("few bf16 by e4m3", elements, mixed);
    }
  }
}

}  // namespace
}  // namespace fp8cal
