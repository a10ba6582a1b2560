#include <gtest/gtest.h>

#include <cstdio>

#include "gpu_test.hpp"

namespace fp8cal {
namespace {

/// Memory-bound operations on tensors far larger than the caches. Prints what each reaches, and
/// demands only what any GPU with FP8 does, so that it fails where something is broken, not busy.
class CudaSpeed : public BothBackends {
 protected:
  static constexpr std::size_t kRows = 16384;

  /// Normally distributed numbers, repeated.
  Buffer filled(std::size_t elements) {
    constexpr std::size_t kPeriod = 1 << 20;
    Buffer buffer = cuda_->allocate(elements * 2);
    for (std::size_t first = 0; first < elements; first += kPeriod) {
      cuda_->upload(buffer.as<bf16_bits>() + first, random_.view().data,
                    2 * std::min(kPeriod, elements - first));
    }
    cuda_->synchronize();
    return buffer;
  }

  template <class Call>
  void report(const char* name, std::size_t elements, double bytes_an_element, const Call& call) {
    const double seconds = seconds_of(*cuda_, 20, call);
    const double rate = static_cast<double>(elements) / seconds;
    std::printf("  %-34s %8.1f us  %7.1f GB/s  %6.3f T elements/s\n", name, seconds * 1e6,
                rate * bytes_an_element / 1e9, rate / 1e12);
    EXPECT_GT(rate * bytes_an_element, 5e10) << name;
  }

  TestMatrix random_ = random_bf16(1, 1 << 20, 1);
};

TEST_F(CudaSpeed, Elementwise) {
  for (const std::size_t cols : {4096, 14336}) {
    const std::size_t count = kRows * cols;
    const Buffer a = filled(count), b = filled(count), c = filled(count), w = filled(cols);
    const auto matrix = [&](const Buffer& buffer) {
      return Matrix::dense(buffer.data(), DType::bf16, kRows, cols);
    };
    const Matrix weight = Matrix::dense(w.data(), DType::bf16, 1, cols);
    const Matrix table = Matrix::dense(w.data(), DType::bf16, cols / 64, 64);
    const DeviceArray<std::uint32_t> ids(*cuda_, std::vector<std::uint32_t>(kRows, 3));
    std::printf(" %zu x %zu\n", kRows, cols);
    report("add", count, 6, [&] { cuda_->add(matrix(a), matrix(b)); });
    report("silu_multiply", count, 6,
           [&] { cuda_->silu_multiply(matrix(b), matrix(c), matrix(a)); });
    report("add_rms_norm", count, 8,
           [&] { cuda_->add_rms_norm(matrix(a), matrix(b), weight, 1e-5f, matrix(c)); });
    report("rms_norm", count, 4,
           [&] { cuda_->add_rms_norm(matrix(b), {}, weight, 1e-5f, matrix(c)); });
    report("rope", count, 4, [&] { cuda_->rope(matrix(c), 128, table, table); });
    report("embed (one row read)", count, 2,
           [&] { cuda_->embed(ids.data(), matrix(b), 0, matrix(c)); });
    report("interleave_columns, 8 parts", count, 4,
           [&] { cuda_->interleave_columns(b.data(), 8, matrix(c)); });
  }
}

/// A microbatch of the 8B shape: products of several weights lie side by side.
TEST_F(CudaSpeed, ColumnRangesOfAMicrobatch) {
  constexpr std::size_t kTokens = 32768, kHidden = 4096, kWidth = 14336, kKv = 1024;
  const Buffer wide = filled(kTokens * 2 * kWidth), narrow = filled(kTokens * kWidth);
  const Buffer residual = filled(kTokens * kHidden), w = filled(kHidden);
  const auto matrix = [](const Buffer& buffer, std::size_t rows, std::size_t cols) {
    return Matrix::dense(buffer.data(), DType::bf16, rows, cols);
  };
  const Matrix both = matrix(wide, kTokens, 2 * kWidth), out = matrix(narrow, kTokens, kWidth);
  report("silu_multiply of column halves", kTokens * kWidth, 6, [&] {
    cuda_->silu_multiply(both.column_range(0, kWidth), both.column_range(kWidth, kWidth), out);
  });
  const Matrix qkv = matrix(wide, kTokens, kHidden + 2 * kKv), table = matrix(w, kHidden / 64, 64);
  report("rope of 40 of 48 heads", kTokens * (kHidden + kKv), 4,
         [&] { cuda_->rope(qkv.column_range(0, kHidden + kKv), 128, table, table); });
  const Matrix sum = matrix(residual, kTokens, kHidden), weight = matrix(w, 1, kHidden);
  const Matrix norm = matrix(narrow, kTokens, kHidden);
  for (const std::size_t parts : {1, 2, 8}) {
    const Matrix delta = matrix(wide, parts * kTokens, kHidden / parts);
    const std::string of = " of " + std::to_string(parts) + " parts";
    report(("add" + of).c_str(), kTokens * kHidden, 6, [&] { cuda_->add(sum, delta); });
    report(("add_rms_norm" + of).c_str(), kTokens * kHidden, 8,
           [&] { cuda_->add_rms_norm(sum, delta, weight, 1e-5f, norm); });
  }
}

TEST_F(CudaSpeed, QuantizeAndMaxima) {
  for (const std::size_t cols : {4096, 14336}) {
    const std::size_t count = kRows * cols;
    const Buffer x = filled(count), codes = cuda_->allocate(count);
    const Matrix from = Matrix::dense(x.data(), DType::bf16, kRows, cols);
    const DeviceArray<float> scales(*cuda_, std::vector<float>(kRows, 0.011f));
    std::printf(" %zu x %zu\n", kRows, cols);
    for (const DType dtype : {DType::e4m3, DType::e5m2}) {
      const Matrix to = Matrix::dense(codes.data(), dtype, kRows, cols);
      report("quantize, one scale", count, 3, [&] {
        cuda_->quantize(from, {scales.data(), 1}, to);
      });
      report("quantize, one scale a row", count, 3, [&] {
        cuda_->quantize(from, {scales.data(), kRows}, to);
      });
      report("quantize_rows", count, 3, [&] { cuda_->quantize_rows(from, to, scales.data()); });
    }
    report("row_amax", count, 2,
           [&] { cuda_->row_amax(from, reinterpret_cast<std::uint32_t*>(scales.data())); });
  }
}

TEST_F(CudaSpeed, Observe) {
  for (const std::size_t rows : {2048, 16384, 65536}) {
    for (const std::size_t cols : {1024, 4096, 14336}) {
      const std::size_t count = rows * cols;
      const Buffer x = filled(count);
      const DeviceArray<std::uint64_t> histogram(*cuda_,
                                                 std::vector<std::uint64_t>(kHistogramBins));
      const DeviceArray<std::uint32_t> amax(*cuda_, std::vector<std::uint32_t>(cols + rows));
      const Observation into{histogram.data(), amax.data(), amax.data() + cols};
      const Matrix matrix = Matrix::dense(x.data(), DType::bf16, rows, cols);
      const auto observe = [&] { cuda_->observe(matrix, 0, 2048, into); };
      report(("observe " + std::to_string(rows) + " x " + std::to_string(cols)).c_str(), count, 2,
             observe);
      if (rows != 65536 || cols != 4096) continue;
      cuda_->fill_zero(x.data(), x.bytes());
      report("observe zeros", count, 2, observe);
    }
  }
}

/// A layer of a microbatch of the 8B shape: three times hidden, once the MLP's width, K and V.
TEST_F(CudaSpeed, ObserveALayer) {
  constexpr std::size_t kTokens = 32768, kHidden = 4096, kWidth = 14336, kKv = 1024;
  const Buffer x = filled(kTokens * kWidth);
  const DeviceArray<std::uint64_t> histogram(*cuda_, std::vector<std::uint64_t>(kHistogramBins));
  const DeviceArray<std::uint32_t> amax(*cuda_, std::vector<std::uint32_t>(kWidth + kTokens));
  const Observation into{histogram.data(), amax.data(), amax.data() + kWidth};
  const auto dense = [&](std::size_t cols) {
    return Matrix::dense(x.data(), DType::bf16, kTokens, cols);
  };
  const Matrix hidden = dense(kHidden), width = dense(kWidth), qkv = dense(kHidden + 2 * kKv);
  const Matrix key = qkv.column_range(kHidden, kKv), value = qkv.column_range(kHidden + kKv, kKv);
  const auto observe = [&](const Matrix& matrix) { cuda_->observe(matrix, 0, 2048, into); };
  report("observe hidden", kTokens * kHidden, 2, [&] { observe(hidden); });
  report("observe the MLP's width", kTokens * kWidth, 2, [&] { observe(width); });
  report("observe K", kTokens * kKv, 2, [&] { observe(key); });
  report("observe V", kTokens * kKv, 2, [&] { observe(value); });
  const Matrix few = width.row_range(0, 16).column_range(0, 512);
  std::printf("  %-34s %8.1f us\n", "what a call of observe costs",
              seconds_of(*cuda_, 20, [&] { observe(few); }) * 1e6);
  report("observe a layer", kTokens * (3 * kHidden + kWidth + 2 * kKv), 2, [&] {
    for (int i = 0; i < 3; ++i) observe(hidden);
    observe(width);
    observe(key);
    observe(value);
  });
}

TEST_F(CudaSpeed, Softmax) {
  for (const std::size_t cols : {32064, 128256}) {
    constexpr std::size_t kTokens = 2048;
    const Buffer x = filled(kTokens * cols);
    const Matrix logits = Matrix::dense(x.data(), DType::bf16, kTokens, cols);
    const DeviceArray<std::uint32_t> targets(*cuda_, std::vector<std::uint32_t>(kTokens, 17));
    const DeviceArray<float> partials(*cuda_, std::vector<float>(3 * kTokens));
    report(("softmax_partials " + std::to_string(cols)).c_str(), kTokens * cols, 2,
           [&] { cuda_->softmax_partials(logits, 0, targets.data(), partials.data()); });
  }
}

}  // namespace
}  // namespace fp8cal
