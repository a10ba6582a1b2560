#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>

#include "gpu_test.hpp"

namespace fp8cal {
namespace {

class CudaElementwise : public BothBackends {
 protected:
  /// Calls operation(backend, out) on both, and returns what each left in a copy of `out`.
  template <class Operation>
  std::pair<TestMatrix, TestMatrix> run(const TestMatrix& out, const Operation& operation) {
    const DeviceCopy found(*cuda_, out), expected(*cpu_, out);
    operation(*cuda_, found.view());
    operation(*cpu_, expected.view());
    return {found.values(), expected.values()};
  }

  template <class Operation>
  void expect_equal(const TestMatrix& out, const std::string& what, const Operation& operation) {
    const auto [found, expected] = run(out, operation);
    EXPECT_TRUE(found == expected) << what << first_difference(found, expected);
  }

  /// Within two steps of bf16, few elements different at all, and the gaps untouched.
  template <class Operation>
  void expect_close(const TestMatrix& out, const std::string& what, const Operation& operation) {
    const auto [found, expected] = run(out, operation);
    check_close(found, expected, what);
  }

  static void check_close(TestMatrix found, TestMatrix expected, const std::string& what) {
    const std::size_t rows = found.view().rows, cols = found.view().cols;
    std::size_t different = 0;
    double worst = 0.0;
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t c = 0; c < cols; ++c) {
        const double want = expected.value(r, c), got = found.value(r, c);
        found.bits(r, c) = expected.bits(r, c);
        if (want == got || (std::isnan(want) && std::isnan(got))) continue;
        ++different;
        const double error = std::abs(got - want) / std::abs(want);
        if (!(error <= worst)) worst = error;
      }
    }
    EXPECT_TRUE(found == expected) << what << ": a gap was written";
    EXPECT_TRUE(worst <= 0.016) << what << ": worst relative error " << worst;
    EXPECT_LE(different, rows * cols / 100 + 1) << what << " of " << rows * cols;
    std::printf("  %-44s worst %.2e, different %zu of %zu\n", what.c_str(), worst, different,
                rows * cols);
  }

  static std::string first_difference(TestMatrix found, TestMatrix expected) {
    for (std::size_t r = 0; r < found.view().rows; ++r) {
      for (std::size_t c = 0; c < found.view().cols; ++c) {
        if (found.value(r, c) == expected.value(r, c)) continue;
        return ": first at " + std::to_string(r) + ", " + std::to_string(c) + ": expected " +
               std::to_string(expected.value(r, c)) + ", found " +
               std::to_string(found.value(r, c));
      }
    }
    return ": in a gap or a sign of zero";
  }
};

TEST_F(CudaElementwise, Embed) {
  for (const TestSize& size : kTestSizes) {
    const TestMatrix table = random_bf16(50, size.cols, 1, size.gap);
    std::vector<std::uint32_t> ids;
    for (std::size_t r = 0; r < size.rows; ++r) ids.push_back(90 + r * 7 % 71);
    if (size.rows > 2) ids[2] = 0xFFFFFFFFu;
    expect_equal(TestMatrix(DType::bf16, size.rows, size.cols, size.gap), size.to_string(),
                 [&](Backend& backend, Matrix out) {
                   const DeviceArray<std::uint32_t> own_ids(backend, ids);
                   const DeviceCopy own_table(backend, table);
                   backend.embed(own_ids.data(), own_table, 100, out);
                 });
  }
}

TEST_F(CudaElementwise, Add) {
  for (const TestSize& size : kTestSizes) {
    const TestMatrix delta = random_bf16(size.rows, size.cols, 2, size.gap);
    expect_equal(random_bf16(size.rows, size.cols, 1, size.gap), size.to_string(),
                 [&](Backend& backend, Matrix residual) {
                   const DeviceCopy own(backend, delta);
                   backend.add(residual, own);
                 });
  }
}

TEST_F(CudaElementwise, AddRmsNorm) {
  for (const TestSize& size : kTestSizes) {
    const TestMatrix residual = random_bf16(size.rows, size.cols, 1, size.gap);
    const TestMatrix delta = random_bf16(size.rows, size.cols, 2, size.gap, 0.3f);
    const TestMatrix weight = random_bf16(1, size.cols, 3);
    for (const bool has_delta : {true, false}) {
      TestMatrix residuals[2] = {residual, residual};
      int call = 0;
      expect_close(TestMatrix(DType::bf16, size.rows, size.cols, size.gap),
                   size.to_string() + (has_delta ? ", delta" : ""),
                   [&](Backend& backend, Matrix out) {
                     const DeviceCopy x(backend, residual), d(backend, delta), w(backend, weight);
                     backend.add_rms_norm(x, has_delta ? d.view() : Matrix{}, w, 1e-5f, out);
                     std::memcpy(residuals[call].view().data, x.values().view().data,
                                 2 * size.rows * (size.cols + size.gap));
                     ++call;
                   });
      EXPECT_TRUE(residuals[0] == residuals[1]) << "the residual differs: " << size.to_string();
    }
  }
}

TEST_F(CudaElementwise, SummandsInPartsAreAsInterleaved) {
  struct Case {
    std::size_t rows, parts, width, gap;
  };
  const Case cases[] = {{0, 2, 8, 0},    {1, 1, 1, 0},     {5, 2, 2048, 0},  {5, 2, 2048, 8},
                        {37, 8, 512, 0}, {19, 4, 1024, 1}, {7, 3, 12, 0},    {7, 3, 12, 4},
                        {3, 8, 1, 0},    {33, 5, 7, 3},    {70001, 2, 8, 0}, {301, 4, 260, 0}};
  for (const Case& c : cases) {
    const std::size_t cols = c.parts * c.width;
    const std::string what = std::to_string(c.rows) + " rows, " + std::to_string(c.parts) +
                             " parts of " + std::to_string(c.width) + " + " + std::to_string(c.gap);
    const TestMatrix gathered = random_bf16(c.parts * c.rows, c.width, 1, 0, 0.3f);
    const TestMatrix residual = random_bf16(c.rows, cols, 2, c.gap);
    const TestMatrix weight = random_bf16(1, cols, 3), poison(DType::bf16, c.rows, cols, c.gap);
    expect_equal(residual, what, [&](Backend& backend, Matrix sum) {
      const DeviceCopy own(backend, gathered);
      backend.add(sum, own);
    });
    expect_close(poison, what, [&](Backend& backend, Matrix out) {
      const DeviceCopy x(backend, residual), own(backend, gathered), w(backend, weight);
      backend.add_rms_norm(x, own, w, 1e-5f, out);
    });
    const DeviceCopy own(*cuda_, gathered), whole(*cuda_, poison), w(*cuda_, weight);
    cuda_->interleave_columns(own.view().data, c.parts, whole);
    const DeviceCopy found(*cuda_, residual), expected(*cuda_, residual);
    cuda_->add(found, own);
    cuda_->add(expected, whole);
    EXPECT_TRUE(found.values() == expected.values()) << what;
    const DeviceCopy found_norm(*cuda_, poison), expected_norm(*cuda_, poison);
    cuda_->add_rms_norm(found, own, w, 1e-5f, found_norm);
    cuda_->add_rms_norm(expected, whole, w, 1e-5f, expected_norm);
    EXPECT_TRUE(found.values() == expected.values()) << what;
    EXPECT_TRUE(found_norm.values() == expected_norm.values()) << what;
  }
}

TEST_F(CudaElementwise, AddRmsNormDependsOnNeitherSlicesNorAlignment) {
  constexpr std::size_t kRows = 37, kCols = 4100;
  const TestMatrix weight = random_bf16(1, kCols, 3);
  const DeviceCopy w(*cuda_, weight);
  std::vector<TestMatrix> results;
  for (const std::size_t gap : {4, 0, 1}) {  // 4: whole packs, but for a row's last
    for (const std::size_t step : {kRows, std::size_t{5}}) {
      const TestMatrix same = random_bf16(kRows, kCols, 1);
      TestMatrix host(DType::bf16, kRows, kCols, gap), dense(DType::bf16, kRows, kCols);
      for (std::size_t r = 0; r < kRows; ++r) {
        std::memcpy(host.view().row<bf16_bits>(r), same.view().row<bf16_bits>(r), 2 * kCols);
      }
      const DeviceCopy x(*cuda_, host), out(*cuda_, host);
      for (std::size_t r = 0; r < kRows; r += step) {
        const std::size_t rows = std::min(step, kRows - r);
        cuda_->add_rms_norm(x.view().row_range(r, rows), {}, w, 1e-5f,
                            out.view().row_range(r, rows));
      }
      const TestMatrix found = out.values();
      for (std::size_t r = 0; r < kRows; ++r) {
        std::memcpy(dense.view().row<bf16_bits>(r), found.view().row<bf16_bits>(r), 2 * kCols);
      }
      results.push_back(dense);
    }
  }
  for (const TestMatrix& result : results) EXPECT_TRUE(result == results.front());
}

TEST_F(CudaElementwise, Rope) {
  struct Case {
    std::size_t rows, heads, head_dim, positions, gap;
  };
  const Case cases[] = {{0, 2, 64, 4, 0},    {1, 1, 2, 1, 0},     {7, 3, 64, 7, 0},
                        {24, 8, 128, 12, 8}, {10, 2, 20, 5, 1},   {256, 32, 128, 64, 0},
                        {6, 5, 16, 3, 3},    {96, 40, 128, 48, 0}};
  for (const Case& c : cases) {
    const TestMatrix cosine = random_bf16(c.positions, c.head_dim / 2, 1, c.gap);
    const TestMatrix sine = random_bf16(c.positions, c.head_dim / 2, 2, c.gap);
    expect_equal(random_bf16(c.rows, c.heads * c.head_dim, 3, c.gap),
                 std::to_string(c.heads) + " heads of " + std::to_string(c.head_dim),
                 [&](Backend& backend, Matrix x) {
                   const DeviceCopy own_cosine(backend, cosine), own_sine(backend, sine);
                   backend.rope(x, c.head_dim, own_cosine, own_sine);
                 });
  }
}

TEST_F(CudaElementwise, SiluMultiply) {
  for (const TestSize& size : kTestSizes) {
    TestMatrix gate = random_bf16(size.rows, size.cols, 1, size.gap, 5.0f);
    const TestMatrix up = random_bf16(size.rows, size.cols, 2, size.gap);
    const bf16_bits special[] = {0x0000, 0x8000, 0xC2C8, 0x42C8, 0xC300, 0x7F80, 0xFF80};
    for (std::size_t i = 0; i < std::size(special) && i < size.cols && size.rows > 0; ++i) {
      gate.bits(0, i) = special[i];
    }
    expect_close(TestMatrix(DType::bf16, size.rows, size.cols, size.gap), size.to_string(),
                 [&](Backend& backend, Matrix out) {
                   const DeviceCopy own_gate(backend, gate), own_up(backend, up);
                   backend.silu_multiply(own_gate, own_up, out);
                 });
  }
}

TEST_F(CudaElementwise, InterleaveColumns) {
  for (const DType dtype : {DType::bf16, DType::e4m3, DType::f32}) {
    for (const std::size_t parts : {1, 2, 3, 8}) {
      for (const std::size_t width : {0, 1, 7, 16, 128, 1024}) {
        for (const std::size_t gap : {0, 5, 16}) {
          constexpr std::size_t kRows = 19;
          std::vector<std::uint8_t> gathered(parts * kRows * width * size_of(dtype));
          for (std::size_t i = 0; i < gathered.size(); ++i) {
            gathered[i] = static_cast<std::uint8_t>(i * 2654435761u >> 13);
          }
          expect_equal(TestMatrix(dtype, kRows, parts * width, gap),
                       std::to_string(parts) + " parts of " + std::to_string(width),
                       [&](Backend& backend, Matrix out) {
                         const DeviceArray<std::uint8_t> own(backend, gathered);
                         backend.interleave_columns(own.data(), parts, out);
                       });
        }
      }
    }
  }
}

TEST_F(CudaElementwise, RefusesShapesThatDoNotFit) {
  const TestMatrix a(DType::bf16, 3, 8), b(DType::bf16, 3, 7), wide(DType::f32, 3, 8);
  const TestMatrix halves(DType::bf16, 5, 4);
  const auto expect_same_error = [&](auto call) {
    const std::string expected = shape_error([&] { call(*cpu_); });
    EXPECT_NE(expected, "nothing thrown");
    EXPECT_EQ(shape_error([&] { call(*cuda_); }), expected);
  };
  expect_same_error([&](Backend& backend) { backend.add(a, b); });
  expect_same_error([&](Backend& backend) { backend.add(wide, wide); });
  expect_same_error([&](Backend& backend) { backend.add(a, halves); });
  expect_same_error([&](Backend& backend) { backend.add_rms_norm(a, {}, b, 1e-5f, a); });
  expect_same_error([&](Backend& backend) { backend.rope(a, 3, a, a); });
  expect_same_error([&](Backend& backend) { backend.silu_multiply(a, a, b); });
  expect_same_error([&](Backend& backend) { backend.interleave_columns(nullptr, 3, a); });
  expect_same_error([&](Backend& backend) { backend.embed(nullptr, a, 0, b); });
}

}  // namespace
}  // namespace fp8cal
