#include <gtest/gtest.h>

#include "gpu_test.hpp"

namespace fp8cal {
namespace {

/// Norms that quantize on the way give the codes, and the scales, of two calls.
class CudaFewRowsNorm : public BothBackends {
 protected:
  static constexpr float kScale = 0.013f;

  /// fused: quantizes to where it is told. plain: computes the bf16 matrix `out`.
  template <class Fused, class Plain>
  void compare(const DeviceCopy& out, bool by_tensor, const std::string& what, const Fused& fused,
               const Plain& plain) {
    const std::size_t rows = out.view().rows, cols = out.view().cols;
    const DeviceCopy found(*cuda_, TestMatrix(DType::e4m3, rows, cols)),
        expected(*cuda_, TestMatrix(DType::e4m3, rows, cols));
    const DeviceArray<float> scale(*cuda_, {kScale}), of_found(*cuda_, std::vector<float>(rows, 7)),
        of_expected(*cuda_, std::vector<float>(rows, 7));
    const Scales known = by_tensor ? Scales{scale.data(), 1} : Scales{};
    fused(QuantizedRows{found, known, of_found.data()});
    plain();
    if (by_tensor) {
      cuda_->quantize(out, known, expected);
    } else {
      cuda_->quantize_rows(out, expected, of_expected.data());
    }
    EXPECT_EQ(found.values(), expected.values()) << what;
    EXPECT_EQ(of_found.values(), of_expected.values()) << what;
  }
};

TEST_F(CudaFewRowsNorm, NormHasTheBitsOfTwoCalls) {
  for (const std::size_t rows : {1, 3, 32, 40}) {
    for (const std::size_t cols : {8, 24, 512, 4096, 4100, 8192, 16384}) {
      for (const bool with_delta : {false, true}) {
        for (const bool by_tensor : {false, true}) {
          const TestMatrix start = random_bf16(rows, cols, 1);
          const DeviceCopy fused_residual(*cuda_, start), residual(*cuda_, start),
              out(*cuda_, start), delta(*cuda_, random_bf16(rows, cols, 2)),
              weight(*cuda_, random_bf16(1, cols, 3));
          const ConstMatrix summand = with_delta ? ConstMatrix(delta) : ConstMatrix{};
          const std::string what = std::to_string(rows) + " x " + std::to_string(cols) +
                                   (with_delta ? " + delta" : "") + (by_tensor ? "" : " by row");
          compare(
              out, by_tensor, what,
              [&](const QuantizedRows& into) {
                cuda_->add_rms_norm_quantize(fused_residual, summand, weight, 1e-5f, out, into);
              },
              [&] { cuda_->add_rms_norm(residual, summand, weight, 1e-5f, out); });
          EXPECT_EQ(fused_residual.values(), residual.values()) << what;
        }
      }
    }
  }
}

/// The kernel that holds rows in registers, and the one for many rows.
TEST_F(CudaFewRowsNorm, NormOfFewRowsHasTheBitsOfMany) {
  constexpr std::size_t kRows = 64;
  for (const std::size_t cols : {64, 4096, 8192}) {
    const TestMatrix start = random_bf16(kRows, cols, 1);
    const DeviceCopy some(*cuda_, start), all(*cuda_, start), out(*cuda_, start),
        expected(*cuda_, start), delta(*cuda_, random_bf16(kRows, cols, 2)),
        weight(*cuda_, random_bf16(1, cols, 3));
    cuda_->add_rms_norm(all, delta, weight, 1e-5f, expected);
    for (std::size_t r = 0; r < kRows; r += 16) {
      const ConstMatrix summand = delta.view().row_range(r, 16);
      cuda_->add_rms_norm(some.view().row_range(r, 16), summand, weight, 1e-5f,
                          out.view().row_range(r, 16));
    }
    EXPECT_EQ(out.values(), expected.values()) << cols;
    EXPECT_EQ(some.values(), all.values()) << cols;
  }
}

}  // namespace
}  // namespace fp8cal
