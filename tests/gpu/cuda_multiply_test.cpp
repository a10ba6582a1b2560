#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <thread>

#include "gpu_test.hpp"
#include "kernels/gemm_check.hpp"
#include "tests/unit/cpu_test_support.hpp"

namespace fp8cal {
namespace {

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
TestMatrix tiled_bf16(std::size_t rows, std::size_t cols, unsigned seed, std::size_t gap = 0) {
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
TestMatrix tiled_fp8(Backend& cpu, DType dtype, std::size_t rows, std::size_t cols, unsigned seed,
                     std::size_t gap = 0) {
  const TestMatrix wide = tiled_bf16(rows, cols, seed);
  TestMatrix codes(dtype, rows, cols, gap);
  const float scale = 1.0f / 40;
  cpu.quantize(wide, {&scale, 1}, codes);
  return codes;
}

std::vector<float> spread_scales(std::size_t count, float from) {
  std::vector<float> scales(count);
  for (std::size_t i = 0; i < count; ++i) scales[i] = from * (1.0f + 0.37f * (i % 11));
  return scales;
}

/// Prints how far two bf16 results differ, and checks each element within 2e-2 of its size or of
/// the root mean square, and everything between the rows untouched.
void expect_close(const TestMatrix& found, const TestMatrix& expected, const std::string& what) {
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
      if (!(error <= 2e-2)) ++beyond;
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

TEST_F(CudaMultiply, HandChecked) {
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
  compare_fp8({33, 64, 128}, DType::e4m3, DType::e4m3, true, false, 0);
  compare_fp8({31, 96, 256}, DType::e4m3, DType::e4m3, true, true, 8);
}

TEST_F(CudaMultiply, E5m2ActivationsAgreeWithTheCpu) {
  compare_fp8({33, 512, 1024}, DType::e5m2, DType::e4m3, false, false, 0);
  compare_fp8({33, 512, 1024}, DType::e4m3, DType::e5m2, false, false, 0);
}

TEST_F(CudaMultiply, ScalesMayStartAnywhere) {
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

/// Llama 3.1's linear layers, fused as the worker fuses them: qkv, o, gate and up, down.
const std::vector<std::pair<std::size_t, std::size_t>> kLayers8B = {
    {6144, 4096}, {4096, 4096}, {28672, 4096}, {4096, 14336}};
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

TEST_F(CudaMultiply, Speed) {
  const std::size_t rows = 8192;
  constexpr int kRuns = 10;
  for (const auto& [columns, depth] : kLayers8B) {
    const DeviceCopy x(*cuda_, tiled_bf16(rows, depth, 7));
    const DeviceCopy weight(*cuda_, tiled_bf16(columns, depth, 8));
    const DeviceCopy x8(*cuda_, TestMatrix(DType::e4m3, rows, depth));
    const DeviceCopy weight8(*cuda_, TestMatrix(DType::e4m3, columns, depth));
    const ScalesOnDevice one(*cuda_, {1.0f / 40});
    const ScalesOnDevice x_scales(*cuda_, spread_scales(rows, 0.01f));
    const ScalesOnDevice weight_scales(*cuda_, spread_scales(columns, 0.01f));
    cuda_->quantize(x, one, x8);
    cuda_->quantize(weight, one, weight8);
    const DeviceCopy out(*cuda_, TestMatrix(DType::bf16, rows, columns));
    const auto report = [&, columns = columns, depth = depth](const char* kind, auto&& multiply) {
      for (int i = 0; i < 3; ++i) multiply();
      cuda_->synchronize();
      const auto begin = std::chrono::steady_clock::now();
      for (int i = 0; i < kRuns; ++i) multiply();
      cuda_->synchronize();
      const double seconds = seconds_since(begin) / kRuns;
      std::printf("  %zu x %zu x %zu %-24s %8.1f us, %6.1f TFLOP/s\n", rows, columns, depth, kind,
                  seconds * 1e6, 2e-12 * static_cast<double>(rows * columns * depth) / seconds);
    };
    report("bf16", [&] { cuda_->multiply(x, weight, out); });
    report("bf16, 8 slices", [&, columns = columns] {
      const std::size_t n = columns / 8;
      for (std::size_t s = 0; s < 8; ++s) {
        cuda_->multiply(
            x, weight.view().row_range(s * n, n),
            Matrix::dense(out.view().row<bf16_bits>(0) + s * rows * n, DType::bf16, rows, n));
      }
    });
    report("fp8, scalar scales", [&] { cuda_->multiply_scaled(x8, one, weight8, one, out); });
    report("fp8, channel scales",
           [&] { cuda_->multiply_scaled(x8, one, weight8, weight_scales, out); });
    report("fp8, vector scales",
           [&] { cuda_->multiply_scaled(x8, x_scales, weight8, weight_scales, out); });
  }
}

}  // namespace
}  // namespace fp8cal
