#include "kernels/checks.hpp"

#include <algorithm>
#include <stdexcept>

namespace fp8cal {
namespace {

std::string dtype_name(DType dtype) {
  switch (dtype) {
    case DType::bf16:
      return "bf16";
    case DType::e4m3:
      return "e4m3";
    case DType::e5m2:
      return "e5m2";
    case DType::f32:
      return "f32";
  }
  return "unknown dtype";
}

std::string shape(std::size_t rows, std::size_t cols) {
  return std::string("[").append(std::to_string(rows)) + ", " + std::to_string(cols) + "] ";
}

[[noreturn]] void fail(const std::string& name, const std::string& expected,
                       const std::string& found) {
  throw std::invalid_argument(name + ": expected " + expected + ", found " + found);
}

void expect_shape(const char* name, const ConstMatrix& matrix, std::size_t rows, std::size_t cols,
                  bool dtype_fits, const std::string& dtype_wanted) {
  if (matrix.rows != rows || matrix.cols != cols || !dtype_fits) {
    fail(name, shape(rows, cols) + dtype_wanted,
         shape(matrix.rows, matrix.cols) + dtype_name(matrix.dtype));
  }
  if (matrix.rows > 1 && matrix.stride < matrix.cols) {
    fail(name, "a stride of at least " + std::to_string(matrix.cols),
         std::to_string(matrix.stride));
  }
}

}  // namespace

void expect_matrix(const char* name, const ConstMatrix& matrix, std::size_t rows, std::size_t cols,
                   DType dtype) {
  expect_shape(name, matrix, rows, cols, matrix.dtype == dtype, dtype_name(dtype));
}

void expect_parts(const char* name, const ConstMatrix& delta, std::size_t rows, std::size_t cols) {
  const bool divides = delta.cols != 0 && cols % delta.cols == 0;
  const std::size_t parts = divides ? std::max<std::size_t>(cols / delta.cols, 1) : 1;
  expect_matrix(name, delta, parts * rows, cols / parts);
}

void expect_fp8(const char* name, const ConstMatrix& matrix, std::size_t rows, std::size_t cols) {
  const bool fits = matrix.dtype == DType::e4m3 || matrix.dtype == DType::e5m2;
  expect_shape(name, matrix, rows, cols, fits, "e4m3 or e5m2");
}

void expect_scales(const char* name, const Scales& scales, std::size_t rows) {
  if (scales.count == 1 || scales.count == rows) return;
  fail(name, "1 or " + std::to_string(rows) + " scales", std::to_string(scales.count));
}

void expect_cache(const std::string& name, const KvCache& cache, std::size_t cols,
                  std::size_t kv_heads) {
  const std::string keys = name + " keys", values = name + " values";
  const Matrix& k = cache.keys;
  if (k.dtype == DType::bf16) {
    expect_matrix(keys.c_str(), k, k.rows, cols);
  } else {
    expect_fp8(keys.c_str(), k, k.rows, cols);
    expect_scales((name + " key_scale").c_str(), cache.key_scale, kv_heads);
    expect_scales((name + " value_scale").c_str(), cache.value_scale, kv_heads);
  }
  expect_matrix(values.c_str(), cache.values, k.rows, cols, k.dtype);
  for (const std::size_t stride : {k.stride, cache.values.stride}) {
    if (stride != cols)
      fail(name, "dense keys and values", "a stride of " + std::to_string(stride));
  }
  expect_multiple((name + " rows").c_str(), k.rows, cache.capacity);
}

void expect_multiple(const char* name, std::size_t value, std::size_t divisor) {
  if (divisor != 0 && value % divisor == 0) return;
  fail(name, "a multiple of " + std::to_string(divisor), std::to_string(value));
}

void expect_at_most(const char* name, std::size_t value, std::size_t most) {
  if (value <= most) return;
  fail(name, "at most " + std::to_string(most), std::to_string(value));
}

}  // namespace fp8cal
