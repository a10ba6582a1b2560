#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/backend.hpp"
#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/instruction_sets.hpp"
#include "kernels/float_formats.hpp"

namespace fp8cal {

inline constexpr std::uint8_t kPoison = 0xAB;

/// A matrix with `gap` elements between its rows, every byte of which starts as poison.
class TestMatrix {
 public:
  TestMatrix(DType dtype, std::size_t rows, std::size_t cols, std::size_t gap = 0)
      : bytes_((rows * (cols + gap) + 1) * size_of(dtype), kPoison),
        view_{bytes_.data(), dtype, rows, cols, cols + gap} {}
  TestMatrix(const TestMatrix& other) : bytes_(other.bytes_), view_(other.view_) {
    view_.data = bytes_.data();
  }
  TestMatrix& operator=(const TestMatrix&) = delete;

  const Matrix& view() const { return view_; }
  operator Matrix() const { return view_; }
  operator ConstMatrix() const { return view_; }

  bf16_bits& bits(std::size_t r, std::size_t c) { return view_.row<bf16_bits>(r)[c]; }
  std::uint8_t& code(std::size_t r, std::size_t c) { return view_.row<std::uint8_t>(r)[c]; }
  float value(std::size_t r, std::size_t c) const {
    switch (view_.dtype) {
      case DType::bf16:
        return bf16_to_float(view_.row<bf16_bits>(r)[c]);
      case DType::e4m3:
        return e4m3_to_float(view_.row<std::uint8_t>(r)[c]);
      case DType::e5m2:
        return e5m2_to_float(view_.row<std::uint8_t>(r)[c]);
      case DType::f32:
        return view_.row<float>(r)[c];
    }
    return 0.0f;
  }

  /// Everything, the gaps too: equal only where no gap was written.
  bool operator==(const TestMatrix& other) const { return bytes_ == other.bytes_; }

 private:
  std::vector<std::uint8_t> bytes_;
  Matrix view_;
};

/// Normally distributed bf16 numbers.
inline TestMatrix random_bf16(std::size_t rows, std::size_t cols, unsigned seed,
                              std::size_t gap = 0, float deviation = 1.0f) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0f, deviation);
  TestMatrix matrix(DType::bf16, rows, cols, gap);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < cols; ++c) matrix.bits(r, c) = float_to_bf16(normal(generator));
  }
  return matrix;
}

inline TestMatrix bf16_matrix(const std::vector<std::vector<float>>& rows) {
  TestMatrix matrix(DType::bf16, rows.size(), rows.front().size());
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (std::size_t c = 0; c < rows[r].size(); ++c) matrix.bits(r, c) = float_to_bf16(rows[r][c]);
  }
  return matrix;
}

struct NamedBackend {
  std::string name;
  std::unique_ptr<Backend> backend;
};

/// One of each instruction set that this CPU has, on 1, 2 and 3 threads.
inline std::vector<NamedBackend> all_cpu_backends() {
  std::vector<NamedBackend> all;
  for (const VectorKernels* kernels : available_vector_kernels()) {
    for (int threads = 1; threads <= 3; ++threads) {
      all.push_back({kernels->name + std::string(", threads: ") + std::to_string(threads),
                     make_cpu_backend(threads, *kernels)});
    }
  }
  return all;
}

/// What() of the std::invalid_argument that `call` throws, or why there is none.
inline std::string shape_error(const std::function<void()>& call) {
  try {
    call();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "nothing thrown";
}

}  // namespace fp8cal
