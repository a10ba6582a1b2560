#include <gtest/gtest.h>

#include "gpu_test.hpp"

namespace fp8cal {
namespace {

/// Norms and SiLU that quantize on the way give the codes, and the scales, of two calls.
class CudaFewRowsNorm : public BothBackends {
 protected:
  static constexpr float kScale = 0.013f;

  /// fused: called with a backend, its operands on it, and where to quantize to.
  template <class Fused>
  void compare(std::size_t rows, std::size_t cols, bool by_tensor, const std::string& what,
               const Fused& fused) {
    TestMatrix codes(DType::e4m3, rows, cols), found = codes;
    std::vector<float> scales(rows, 7.0f);
    fused(*cpu_, QuantizedRows{codes, by_tensor ? Scales{&kScale, 1} : Scales{}, scales.data()});
    const DeviceCopy on_device(*cuda_, found);
    const DeviceArray<float> scale(*cuda_, {kScale}),
        row_scales(*cuda_, std::vector<float>(rows, 7));
    fused(*cuda_, QuantizedRows{on_device, by_tensor ? Scales{scale.data(), 1} : Scales{},
                                row_scales.data()});
    on_device.download(found);
    EXPECT_EQ(found, codes) << what;
    EXPECT_EQ(row_scales.values(), scales) << what;
  }
};

TEST_F(CudaFewRowsNorm, NormHasTheBitsOfTwoCalls) {
  for (const std::size_t rows : {1, 3, 32, 40}) {
    for (const std::size_t cols : {8, 24, 512, 4096, 4100, 8192, 16384}) {
      for (const bool with_delta : {false, true}) {
        for (const bool by_tensor : {false, true}) {
          TestMatrix residual = random_bf16(rows, cols, 1), out(DType::bf16, rows, cols);
          const TestMatrix delta = random_bf16(rows, cols, 2), weight = random_bf16(1, cols, 3);
          const DeviceCopy dresidual(*cuda_, residual), dout(*cuda_, out), ddelta(*cuda_, delta),
              dweight(*cuda_, weight);
          const std::string what = std::to_string(rows) + " x " + std::to_string(cols) +
                                   (with_delta ? " + delta" : "") + (by_tensor ? "" : " by row");
          compare(rows, cols, by_tensor, what, [&](Backend& backend, const QuantizedRows& into) {
            const bool cpu = &backend == cpu_.get();
            const ConstMatrix summand = cpu ? ConstMatrix(delta) : ConstMatrix(ddelta);
            backend.add_rms_norm_quantize(cpu ? Matrix(residual) : Matrix(dresidual),
                                          with_delta ? summand : ConstMatrix{},
                                          cpu ? ConstMatrix(weight) : ConstMatrix(dweight), 1e-5f,
                                          cpu ? Matrix(out) : Matrix(dout), into);
          });
          EXPECT_EQ(dresidual.values(), residual) << what;
        }
      }
    }
  }
}

TEST_F(CudaFewRowsNorm, SiluHasTheBitsOfTwoCalls) {
  for (const std::size_t rows : {1, 5, 33}) {
    for (const std::size_t cols : {16, 1030, 14336, 28672, 40960}) {
      for (const bool by_tensor : {false, true}) {
        TestMatrix out(DType::bf16, rows, cols);
        const TestMatrix gate = random_bf16(rows, cols, 1, 8), up = random_bf16(rows, cols, 2, 8);
        const DeviceCopy dgate(*cuda_, gate), dup(*cuda_, up), dout(*cuda_, out);
        const std::string what = std::to_string(rows) + " x " + std::to_string(cols);
        compare(rows, cols, by_tensor, what, [&](Backend& backend, const QuantizedRows& into) {
          const bool cpu = &backend == cpu_.get();
          backend.silu_multiply_quantize(cpu ? ConstMatrix(gate) : ConstMatrix(dgate),
                                         cpu ? ConstMatrix(up) : ConstMatrix(dup),
                                         cpu ? Matrix(out) : Matrix(dout), into);
        });
      }
    }
  }
}

}  // namespace
}  // namespace fp8cal
