#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <thread>

#include "kernels/gemm_check.hpp"
#include "product_test.hpp"

namespace fp8cal {
namespace {

// compute-sanitizer is slow: the tests named *.Small* are few and small, and run every kernel of
// our own that products use.

class CudaMultiply : public testing::Test {
 protected:
  void SetUp() override {
    FP8CAL_GPU_OR_SKIP();
    cuda_ = make_backend({"cuda", 1});
    cpu_ = make_backend({"cpu", static_cast<int>(std::thread::hardware_concurrency())});
  }

  void compare_bf16(const Size& size, std::size_t x_gap, std::size_t weight_gap,
                    std::size_t out_gap) {
    const TestMatrix x = tiled_bf16(size.rows, size.depth, 1, x_gap);
    const TestMatrix weight = tiled_bf16(size.columns, size.depth, 2, weight_gap);
    TestMatrix expected(DType::bf16, size.rows, size.columns, out_gap), found = expected;
    cpu_->multiply(x, weight, expected);
    const DeviceCopy out(*cuda_, found);
    cuda_->multiply(DeviceCopy(*cuda_, x), DeviceCopy(*cuda_, weight), out);
    out.download(found);
    expect_close(found, expected, "bf16 " + size.to_string());
  }

  /// Scales: one for all or many.
  void compare_fp8(const Size& size, DType x_dtype, DType weight_dtype, bool many_x,
                   bool many_weight, std::size_t gap) {
    const TestMatrix x = tiled_fp8(*cpu_, x_dtype, size.rows, size.depth, 3, 2 * gap);
    const TestMatrix weight = tiled_fp8(*cpu_, weight_dtype, size.columns, size.depth, 4, 2 * gap);
    const std::vector<float> x_scales = spread_scales(many_x ? size.rows : 1, 0.013f);
    const std::vector<float> weight_scales = spread_scales(many_weight ? size.columns : 1, 0.0077f);
    TestMatrix expected(DType::bf16, size.rows, size.columns, gap), found = expected;
    cpu_->multiply_scaled(x, {x_scales.data(), x_scales.size()}, weight,
                          {weight_scales.data(), weight_scales.size()}, expected);
    const DeviceCopy out(*cuda_, found);
    const ScalesOnDevice on_x(*cuda_, x_scales), on_weight(*cuda_, weight_scales);
    cuda_->multiply_scaled(DeviceCopy(*cuda_, x), on_x, DeviceCopy(*cuda_, weight), on_weight, out);
    out.download(found);
    expect_close(found, expected,
                 std::string(x_dtype == DType::e5m2 ? "e5m2" : "e4m3") + " x " +
                     (weight_dtype == DType::e5m2 ? "e5m2" : "e4m3") + ", scales " +
                     (many_x ? "M" : "1") + " and " + (many_weight ? "N" : "1") + ": " +
                     size.to_string());
  }

  std::unique_ptr<Backend> cuda_, cpu_;
};

TEST_F(CudaMultiply, SmallHandChecked) {
  const TestMatrix x = bf16_matrix({{1, 2, 3}, {-1, 0.5f, 4}});
  const TestMatrix weight = bf16_matrix({{1, 1, 1}, {2, -4, 0.25f}});
  TestMatrix found(DType::bf16, 2, 2);
  const DeviceCopy out(*cuda_, found);
  cuda_->multiply(DeviceCopy(*cuda_, x), DeviceCopy(*cuda_, weight), out);
  out.download(found);
  EXPECT_EQ(found.value(0, 0), 6.0f);
  EXPECT_EQ(found.value(0, 1), -5.25f);
  EXPECT_EQ(found.value(1, 0), 3.5f);
  EXPECT_EQ(found.value(1, 1), -3.0f);
}

TEST_F(CudaMultiply, Bf16AgreesWithTheCpu) {
  const Size sizes[] = {{0, 5, 3},        {5, 0, 3},        {3, 5, 0},         {1, 1, 1},
                        {1, 1, 7},        {7, 33, 65},      {29, 64, 1030},    {8191, 64, 128},
                        {1, 6144, 4096},  {17, 6144, 4096}, {33, 4096, 14336}, {3, 28672, 4096},
                        {5, 10240, 8192}, {2, 8192, 28672}};
  for (const Size& size : sizes) compare_bf16(size, 0, 0, 0);
}

TEST_F(CudaMultiply, Bf16LeavesGapsBetweenRowsAlone) {
  compare_bf16({31, 96, 256}, 8, 8, 8);
  compare_bf16({31, 97, 255}, 3, 5, 7);
  compare_bf16({1, 96, 256}, 3, 5, 7);
  compare_bf16({4, 6, 0}, 3, 5, 7);
}

TEST_F(CudaMultiply, Fp8AgreesWithTheCpu) {
  const Size sizes[] = {{0, 16, 16},      {3, 32, 0},       {1, 16, 16},       {1, 4096, 4096},
                        {7, 48, 80},      {17, 6144, 4096}, {33, 4096, 14336}, {3, 28672, 4096},
                        {5, 10240, 8192}, {8191, 64, 128}};
  for (const Size& size : sizes) {
    compare_fp8(size, DType::e4m3, DType::e4m3, false, false, 0);
    compare_fp8(size, DType::e4m3, DType::e4m3, false, true, 0);
    compare_fp8(size, DType::e4m3, DType::e4m3, true, true, 0);
  }
}

TEST_F(CudaMultiply, SmallFp8AgreesWithTheCpu) {
  compare_fp8({33, 64, 128}, DType::e4m3, DType::e4m3, true, false, 0);
  compare_fp8({300, 32, 32}, DType::e4m3, DType::e4m3, false, true, 0);
  compare_fp8({31, 96, 256}, DType::e4m3, DType::e4m3, true, true, 8);
}

TEST_F(CudaMultiply, E5m2ActivationsAgreeWithTheCpu) {
  compare_fp8({33, 512, 1024}, DType::e5m2, DType::e4m3, false, false, 0);
  compare_fp8({33, 512, 1024}, DType::e4m3, DType::e5m2, false, false, 0);
}

TEST_F(CudaMultiply, SmallScalesMayStartAnywhere) {
  const TestMatrix x = tiled_fp8(*cpu_, DType::e4m3, 37, 256, 5);
  const TestMatrix weight = tiled_fp8(*cpu_, DType::e4m3, 96, 256, 6);
  const DeviceCopy on_x(*cuda_, x), on_weight(*cuda_, weight);
  const std::vector<float> x_scales = spread_scales(37, 0.013f), w_scales = spread_scales(96, 0.1f);
  TestMatrix aligned(DType::bf16, 37, 96);
  for (const std::size_t offset : {0, 1, 2, 3}) {
    TestMatrix found(DType::bf16, 37, 96);
    const DeviceCopy out(*cuda_, found);
    const ScalesOnDevice a(*cuda_, x_scales, offset), b(*cuda_, w_scales, offset);
    cuda_->multiply_scaled(on_x, a, on_weight, b, out);
    out.download(found);
    if (offset == 0) out.download(aligned);
    EXPECT_TRUE(found == aligned) << offset;
  }
}

TEST_F(CudaMultiply, RejectsWhatTensorCoresDoNotTake) {
  const float one = 1.0f;
  const ScalesOnDevice scale(*cuda_, {one});
  const auto error = [&](DType x_dtype, DType weight_dtype, const Size& size) {
    const DeviceCopy x(*cuda_, TestMatrix(x_dtype, size.rows, size.depth));
    const DeviceCopy weight(*cuda_, TestMatrix(weight_dtype, size.columns, size.depth));
    const DeviceCopy out(*cuda_, TestMatrix(DType::bf16, size.rows, size.columns));
    return shape_error([&] { cuda_->multiply_scaled(x, scale, weight, scale, out); });
  };
  EXPECT_EQ(error(DType::e4m3, DType::e4m3, {16, 16, 24}),
            "multiply_scaled: K, columns of x and weight: expected a multiple of 16, found 24");
  EXPECT_EQ(error(DType::e4m3, DType::e4m3, {16, 40, 32}),
            "multiply_scaled: N, rows of weight: expected a multiple of 16, found 40");
  EXPECT_EQ(error(DType::e5m2, DType::e5m2, {16, 16, 16}),
            "multiply_scaled: expected e4m3 for x or weight, found e5m2 for both");
}

const std::vector<ProductKind> kAllKinds = {ProductKind::bf16, ProductKind::fp8_scalar,
                                            ProductKind::fp8_channel, ProductKind::fp8_vector};

/// As kLayers8B.
const std::vector<std::pair<std::size_t, std::size_t>> kLayers70B = {
    {10240, 8192}, {8192, 8192}, {57344, 8192}, {8192, 28672}};

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// On a difference the kinds are told apart.
void expect_no_difference(Backend& backend, const ProductShape& shape, std::size_t rows) {
  if (!find_gemm_difference(backend, {&shape, 1}, rows)) return;
  for (const ProductKind kind : shape.kinds) {
    ProductShape one = shape;
    one.kinds = {kind};
    const auto found = find_gemm_difference(backend, {&one, 1}, rows);
    EXPECT_FALSE(found.has_value())
        << rows << " rows, " << shape.slices << " slices: " << found->to_string();
  }
}

TEST_F(CudaMultiply, SlicesHaveTheBitsOfTheWhole) {
  for (const auto* layers : {&kLayers8B, &kLayers70B}) {
    for (const auto& [columns, depth] : *layers) {
      for (const std::size_t slices : {2, 4, 8}) {
        expect_no_difference(*cuda_, {columns, depth, slices, kAllKinds}, 512);
      }
    }
  }
  expect_no_difference(*cuda_, {128256 / 16, 4096, 1, {ProductKind::bf16}}, 512);
  expect_no_difference(*cuda_, {128256 / 16, 8192, 1, {ProductKind::bf16}}, 512);
}

TEST_F(CudaMultiply, SlicesOfManyRowsHaveTheBitsOfTheWhole) {
  expect_no_difference(*cuda_, {6144, 4096, 8, kAllKinds}, 8192);
  expect_no_difference(*cuda_, {4096, 14336, 8, kAllKinds}, 8192);
}

TEST_F(CudaMultiply, SelfCheckIsQuick) {
  for (const auto* layers : {&kLayers8B, &kLayers70B}) {
    std::vector<ProductShape> shapes;
    for (const auto& [columns, depth] : *layers) shapes.push_back({columns, depth, 8, kAllKinds});
    shapes.push_back({128256 / 16, layers->front().second, 1, {ProductKind::bf16}});
    const auto begin = std::chrono::steady_clock::now();
    const auto found = find_gemm_difference(*cuda_, shapes, 256);
    const double seconds = seconds_since(begin);
    EXPECT_FALSE(found.has_value()) << found->to_string();
    std::printf("  self-check of the %s: %.2f s\n", layers == &kLayers8B ? "8B" : "70B", seconds);
    EXPECT_LT(seconds, 2.0);
  }
}

/// Prints the time of one of ten calls.
template <class Multiply>
void report(Backend& backend, const Size& size, const char* kind, const Multiply& multiply) {
  const double seconds = seconds_of(backend, 10, multiply);
  std::printf("  %s %-26s %8.1f us, %6.1f TFLOP/s\n", size.to_string().c_str(), kind, seconds * 1e6,
              2e-12 * static_cast<double>(size.rows * size.columns * size.depth) / seconds);
}

TEST_F(CudaMultiply, Speed) {
  for (const auto& [columns, depth] : kLayers8B) {
    const Size size = {8192, columns, depth};
    const SpeedCase on(*cuda_, size);
    report(*cuda_, size, "bf16", [&] { cuda_->multiply(on.x, on.weight, on.out); });
    report(*cuda_, size, "bf16, 8 slices", [&] {
      const std::size_t n = size.columns / 8;
      for (std::size_t s = 0; s < 8; ++s) {
        bf16_bits* into = on.out.view().row<bf16_bits>(0) + s * size.rows * n;
        cuda_->multiply(on.x, on.weight.view().row_range(s * n, n),
                        Matrix::dense(into, DType::bf16, size.rows, n));
      }
    });
    report(*cuda_, size, "fp8, scalar scales",
           [&] { cuda_->multiply_scaled(on.x8, on.one, on.weight8, on.one, on.out); });
    report(*cuda_, size, "fp8, channel scales",
           [&] { cuda_->multiply_scaled(on.x8, on.one, on.weight8, on.weight_scales, on.out); });
    report(*cuda_, size, "fp8, vector scales", [&] {
      cuda_->multiply_scaled(on.x8, on.x_scales, on.weight8, on.weight_scales, on.out);
    });
  }
}

/// What a GPU without FP8 tensor cores does.
class CudaDequantizedMultiply : public CudaMultiply {
 protected:
  void SetUp() override {
    CudaMultiply::SetUp();
    if (IsSkipped() || HasFailure()) return;
    cuda_ = make_cuda_backend(0, Fp8Products::dequantized);
  }

  /// All kinds of scales.
  void compare_all(const Size& size, DType x_dtype, DType weight_dtype, std::size_t gap) {
    for (const bool many_x : {false, true}) {
      for (const bool many_weight : {false, true}) {
        compare_fp8(size, x_dtype, weight_dtype, many_x, many_weight, gap);
      }
    }
  }

  /// The product has the CPU's values, NaN for NaN.
  void expect_exact(const TestMatrix& x, const TestMatrix& weight,
                    const std::vector<float>& x_scales, const std::vector<float>& weight_scales,
                    std::size_t gap) {
    TestMatrix expected(DType::bf16, x.view().rows, weight.view().rows, gap), found = expected;
    cpu_->multiply_scaled(x, {x_scales.data(), x_scales.size()}, weight,
                          {weight_scales.data(), weight_scales.size()}, expected);
    const DeviceCopy out(*cuda_, found);
    const ScalesOnDevice on_x(*cuda_, x_scales), on_weight(*cuda_, weight_scales);
    cuda_->multiply_scaled(DeviceCopy(*cuda_, x), on_x, DeviceCopy(*cuda_, weight), on_weight, out);
    out.download(found);
    for (std::size_t r = 0; r < expected.view().rows; ++r) {
      for (std::size_t c = 0; c < expected.view().stride; ++c) {
        const float want = expected.value(r, c), got = found.value(r, c);
        ASSERT_TRUE(want == got || (std::isnan(want) && std::isnan(got)))
            << "row " << r << ", column " << c << ": expected " << want << ", found " << got;
      }
    }
  }
};

TEST_F(CudaDequantizedMultiply, SaysSo) {
  EXPECT_EQ(cuda_->fp8_products(), Fp8Products::dequantized);
  EXPECT_EQ(cpu_->fp8_products(), Fp8Products::native);
}

TEST_F(CudaDequantizedMultiply, SmallSizesAgreeWithTheCpu) {
  const Size sizes[] = {{0, 16, 16}, {3, 0, 16},  {3, 32, 0},   {1, 1, 1},
                        {1, 16, 16}, {7, 48, 80}, {17, 33, 65}, {33, 1040, 144}};
  for (const Size& size : sizes) {
    compare_all(size, DType::e4m3, DType::e4m3, 0);
    compare_all(size, DType::e5m2, DType::e4m3, 3);
  }
  compare_all({33, 64, 128}, DType::e4m3, DType::e5m2, 8);
  compare_all({33, 64, 128}, DType::e5m2, DType::e5m2, 8);
}

TEST_F(CudaDequantizedMultiply, LargeSizesAgreeWithTheCpu) {
  const Size sizes[] = {{1, 4096, 4096},  {17, 6144, 4096}, {33, 4096, 14336}, {3, 28672, 4096},
                        {5, 10240, 8192}, {2, 8192, 28672}, {8191, 64, 128},   {4801, 48, 28672}};
  for (const Size& size : sizes) compare_fp8(size, DType::e4m3, DType::e4m3, true, true, 0);
  compare_all({33, 512, 1024}, DType::e5m2, DType::e4m3, 0);
}

/// Row r holds the code r and zeros, and multiplies ones.
TEST_F(CudaDequantizedMultiply, SmallEveryCodeIsExact) {
  for (const DType dtype : {DType::e4m3, DType::e5m2}) {
    for (const std::size_t gap : {0, 5}) {
      TestMatrix codes(dtype, 256, 32, gap), ones(DType::e4m3, 16, 32, gap);
      for (std::size_t r = 0; r < 256; ++r) {
        for (std::size_t c = 0; c < 32; ++c) codes.code(r, c) = 0;
        codes.code(r, r % 32) = static_cast<std::uint8_t>(r);
      }
      for (std::size_t r = 0; r < 16; ++r) {
        for (std::size_t c = 0; c < 32; ++c) ones.code(r, c) = float_to_e4m3(1.0f);
      }
      expect_exact(codes, ones, {1.0f}, {1.0f}, gap);
      expect_exact(ones, codes, {1.0f}, {1.0f}, gap);
    }
  }
}

/// Sums of small integers are exact in any order, so that scaling alone rounds.
TEST_F(CudaDequantizedMultiply, SmallIntegersAreScaledAsOnTheCpu) {
  const Size size = {37, 1104, 336};
  TestMatrix x(DType::e4m3, size.rows, size.depth, 16),
      weight(DType::e4m3, size.columns, size.depth);
  const auto fill = [](TestMatrix& matrix, std::size_t factor) {
    for (std::size_t r = 0; r < matrix.view().rows; ++r) {
      for (std::size_t c = 0; c < matrix.view().cols; ++c) {
        const std::size_t hash = (r * 131 + c * factor) % 1009;
        matrix.code(r, c) = float_to_e4m3(static_cast<float>(hash % 9) - 4.0f);
      }
    }
  };
  fill(x, 71);
  fill(weight, 37);
  const std::vector<float> x_scales = spread_scales(size.rows, 0.013f);
  const std::vector<float> weight_scales = spread_scales(size.columns, 0.0077f);
  for (const std::size_t gap : {0, 3, 8}) {
    expect_exact(x, weight, x_scales, weight_scales, gap);
    expect_exact(x, weight, {0.3f}, weight_scales, gap);
    expect_exact(x, weight, x_scales, {0.7f}, gap);
  }
}

const std::vector<ProductKind> kFp8Kinds = {ProductKind::fp8_scalar, ProductKind::fp8_channel,
                                            ProductKind::fp8_vector};

TEST_F(CudaDequantizedMultiply, SmallSlicesHaveTheBitsOfTheWhole) {
  expect_no_difference(*cuda_, {1536, 512, 4, {ProductKind::fp8_vector}}, 96);
}

TEST_F(CudaDequantizedMultiply, SlicesHaveTheBitsOfTheWhole) {
  for (const auto* layers : {&kLayers8B, &kLayers70B}) {
    for (const auto& [columns, depth] : *layers) {
      for (const std::size_t slices : {2, 8}) {
        expect_no_difference(*cuda_, {columns, depth, slices, kFp8Kinds}, 512);
      }
    }
  }
}

/// So many rows that scratch memory holds a part of them only.
TEST_F(CudaDequantizedMultiply, SlicesOfManyRowsHaveTheBitsOfTheWhole) {
  expect_no_difference(*cuda_, {4096, 14336, 8, kFp8Kinds}, 8192);
  expect_no_difference(*cuda_, {8192, 28672, 8, {ProductKind::fp8_vector}}, 8192);
}

TEST_F(CudaDequantizedMultiply, Speed) {
  for (const auto& [columns, depth] : kLayers8B) {
    const Size size = {8192, columns, depth};
    const SpeedCase on(*cuda_, size);
    report(*cuda_, size, "fp8 dequantized", [&] {
      cuda_->multiply_scaled(on.x8, on.x_scales, on.weight8, on.weight_scales, on.out);
    });
  }
}

}  // namespace
}  // namespace fp8cal
