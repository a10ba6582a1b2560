#include "kernels/gemm_check.hpp"

#include <gtest/gtest.h>

#include "cpu_test_support.hpp"

namespace fp8cal {
namespace {

constexpr std::size_t kRows = 48;
const std::vector<ProductKind> kAllKinds = {ProductKind::bf16, ProductKind::fp8_scalar,
                                            ProductKind::fp8_channel, ProductKind::fp8_vector};

/// The cpu backend, but where `is_variant` says so, element [1, 2] of a product is off by one bit.
class VariantBackend : public Backend {
 public:
  using IsVariant = std::function<bool(const Matrix& out, DType dtype)>;
  explicit VariantBackend(IsVariant is_variant) : is_variant_(std::move(is_variant)) {}

  std::size_t products = 0;

  std::string name() const override { return "cpu"; }
  std::string device() const override { return "a variant"; }
  std::uint64_t memory_bytes() const override { return inner_->memory_bytes(); }
  void limit_memory(std::uint64_t) override { unused(); }
  std::uint64_t peak_memory_bytes() const override { return inner_->peak_memory_bytes(); }
  Buffer allocate(std::size_t bytes) override { return inner_->allocate(bytes); }
  void upload(void* device, const void* host, std::size_t bytes) override {
    inner_->upload(device, host, bytes);
  }
  void download(void* host, const void* device, std::size_t bytes) override {
    inner_->download(host, device, bytes);
  }
  void fill_zero(void* device, std::size_t bytes) override { inner_->fill_zero(device, bytes); }
  void synchronize() override {}
  void quantize(ConstMatrix x, Scales scale, Matrix out) override {
    inner_->quantize(x, scale, out);
  }
  void multiply(ConstMatrix x, ConstMatrix weight, Matrix out) override {
    inner_->multiply(x, weight, out);
    perturb(out, x.dtype);
  }
  void multiply_scaled(ConstMatrix x, Scales x_scale, ConstMatrix weight, Scales weight_scale,
                       Matrix out) override {
    inner_->multiply_scaled(x, x_scale, weight, weight_scale, out);
    perturb(out, x.dtype);
  }

  void embed(const std::uint32_t*, ConstMatrix, std::uint32_t, Matrix) override { unused(); }
  void add_rms_norm(Matrix, ConstMatrix, ConstMatrix, float, Matrix) override { unused(); }
  void add(Matrix, ConstMatrix) override { unused(); }
  void rope(Matrix, std::size_t, ConstMatrix, ConstMatrix) override { unused(); }
  void attention(ConstMatrix, ConstMatrix, ConstMatrix, std::size_t, std::size_t, Matrix) override {
    unused();
  }
  void rope_append(Matrix, Matrix, ConstMatrix, std::size_t, ConstMatrix, ConstMatrix,
                   const std::uint32_t*, const KvCache&) override {
    unused();
  }
  void cached_attention(ConstMatrix, const KvCache&, const std::uint32_t*, std::size_t,
                        Matrix) override {
    unused();
  }
  void multiply_few(ConstMatrix, Scales, ConstMatrix, Scales, Matrix) override { unused(); }
  void top_tokens(ConstMatrix, std::uint32_t, TopToken*) override { unused(); }
  void next_tokens(const TopToken*, std::size_t, std::size_t, std::uint32_t*,
                   std::uint32_t*) override {
    unused();
  }
  void silu_multiply(ConstMatrix, ConstMatrix, Matrix) override { unused(); }
  void quantize_rows(ConstMatrix, Matrix, float*) override { unused(); }
  void dequantize(ConstMatrix, Scales, Matrix) override { unused(); }
  void row_errors(ConstMatrix, ConstMatrix, Scales, RowError*) override { unused(); }
  void row_amax(ConstMatrix, std::uint32_t*) override { unused(); }
  void observe(ConstMatrix, std::size_t, std::size_t, const Observation&) override { unused(); }
  void softmax_partials(ConstMatrix, std::uint32_t, const std::uint32_t*, float*) override {
    unused();
  }
  void combine_partials(const float*, std::size_t, const std::uint32_t*, std::size_t,
                        float*) override {
    unused();
  }
  void comparison_partials(ConstMatrix, ConstMatrix, std::uint32_t, ComparisonPartial*) override {
    unused();
  }
  void combine_comparison(const ComparisonPartial*, std::size_t, std::size_t, float*,
                          std::uint8_t*) override {
    unused();
  }
  void interleave_columns(const void*, std::size_t, Matrix) override { unused(); }
  void mark(std::size_t) override { unused(); }
  double seconds_between(std::size_t, std::size_t) override {
    unused();
    return 0;
  }

 private:
  void release(void*, std::size_t) noexcept override {}
  static void unused() { throw std::logic_error("the check needs products only"); }
  void perturb(const Matrix& out, DType dtype) {
    ++products;
    if (is_variant_(out, dtype)) out.row<bf16_bits>(1)[2] ^= 1;
  }

  std::unique_ptr<Backend> inner_ = make_cpu_backend(1);
  IsVariant is_variant_;
};

TEST(GemmCheck, FindsNothingOnTheCpu) {
  const auto backend = make_cpu_backend(2);
  const std::vector<ProductShape> shapes = {{192, 128, 4, kAllKinds},
                                            {96, 320, 2, {ProductKind::bf16}},
                                            {64, 64, 1, {ProductKind::fp8_vector}}};
  const auto found = find_gemm_difference(*backend, shapes, kRows);
  EXPECT_FALSE(found.has_value()) << found->to_string();
  EXPECT_FALSE(find_gemm_difference(*backend, {}, kRows).has_value());
}

TEST(GemmCheck, CatchesOneBitInASliceOfColumns) {
  for (const ProductKind kind : kAllKinds) {
    VariantBackend backend([](const Matrix& out, DType) { return out.cols == 48; });
    const std::vector<ProductShape> shapes = {{128, 64, 2, {kind}}, {192, 128, 4, {kind}}};
    const auto found = find_gemm_difference(backend, shapes, kRows);
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->shape.columns, 192u);
    EXPECT_EQ(found->kind, kind);
    EXPECT_EQ(found->slicing, Slicing::columns);
    EXPECT_EQ(found->row, 1u);
    EXPECT_EQ(found->column, 2u);
    EXPECT_NE(found->whole, found->sliced);
    EXPECT_NE(found->whole, 0.0f);
  }
}

TEST(GemmCheck, SaysWhichColumnOfTheWholeDiffers) {
  std::size_t slices = 0;
  VariantBackend backend([&](const Matrix& out, DType) { return out.cols == 48 && ++slices == 3; });
  const std::vector<ProductShape> shapes = {{192, 128, 4, {ProductKind::bf16}}};
  const auto found = find_gemm_difference(backend, shapes, kRows);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->column, 2u * 48 + 2);
  EXPECT_EQ(found->to_string().substr(0, 82),
            "matrix product by [192, 128] (bf16) in slices of columns: row 1, column 98: expect");
}

TEST(GemmCheck, CatchesOneBitInASliceOfRows) {
  VariantBackend backend(
      [](const Matrix& out, DType dtype) { return out.rows == 16 && dtype == DType::e4m3; });
  const std::vector<ProductShape> shapes = {{192, 128, 1, kAllKinds}};
  const auto found = find_gemm_difference(backend, shapes, kRows);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->kind, ProductKind::fp8_scalar);
  EXPECT_EQ(found->slicing, Slicing::rows);
  EXPECT_EQ(found->row, 24u + 1);  // slices of 24, 16 and 8 rows
}

TEST(GemmCheck, MultipliesEveryPartOnce) {
  VariantBackend backend([](const Matrix&, DType) { return false; });
  const std::vector<ProductShape> shapes = {{192, 128, 4, kAllKinds}};
  EXPECT_FALSE(find_gemm_difference(backend, shapes, kRows).has_value());
  EXPECT_EQ(backend.products, 4u * (1 + 4 + 3));
}

TEST(GemmCheck, RefusesUnevenSlices) {
  const auto backend = make_cpu_backend(1);
  const std::vector<ProductShape> shapes = {{100, 64, 8, {ProductKind::bf16}}};
  EXPECT_EQ(shape_error([&] { find_gemm_difference(*backend, shapes, kRows); }),
            "gemm check: expected columns in even slices, found 100 in 8");
}

}  // namespace
}  // namespace fp8cal
